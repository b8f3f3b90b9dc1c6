"""Ask another model where one fails before the first byte of its answer.

What counts as failed is an engine that does not start, breaks or refuses for reasons of its own, a
full queue, and a prompt that is too long for the model. What is wrong with the request itself is
told at once: another model would say the same.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from inference.wrapped_sink import WrappedSink
from utils.errors import (
    ConfigurationChanged,
    ContextLengthExceeded,
    EngineBusy,
    EngineError,
    EngineRefused,
    EngineStartFailed,
    GatewayError,
    QueueFull,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from inference.call import Call, Outlet, Sink

FAILURES = (EngineError, QueueFull, EngineBusy, ContextLengthExceeded, ConfigurationChanged)
# Of these, an engine that cannot be loaded.
NOT_LOADED = (EngineStartFailed,)


class Others(Protocol):
    """The models that a call can still go to."""

    @property
    def left(self) -> bool:
        """Whether there is another model."""
        ...

    def after(self, error: GatewayError) -> bool:
        """Return whether another model may answer where one has failed with ``error``."""
        ...

    async def following(self, call: Call, error: GatewayError) -> Call:
        """Return the call for the next model, which ``call`` has failed with ``error``.

        Raises a GatewayError if that model cannot be asked.
        """
        ...


class FirstBytes(WrappedSink):
    """Passes an answer on to ``inner``, but raises the failures that ``others`` may mend.

    ``answering`` says that the client has, or may have, a part of the answer.
    """

    def __init__(self, inner: Sink, others: Others) -> None:
        super().__init__(inner)
        self._others = others
        self.answering = False

    def outlet(self) -> Outlet | None:
        """Return the client's."""
        return self._inner.outlet()

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin the answer."""
        self.answering = True
        await self._inner.begin(status, headers)

    async def write(self, chunk: bytes) -> None:
        """Pass on the next piece."""
        self.answering = True
        await self._inner.write(chunk)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Pass on an answer in one piece."""
        self.answering = True
        await self._inner.answer(status, headers, body)

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Raise EngineRefused for a failure that others may mend; pass on all other answers."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            error = EngineRefused(f"The engine answered {status}.")
            if self._others.after(error):
                raise error
        self.answering = True
        return await self._inner.refuse(status, headers, body)

    async def end(self) -> None:
        """End the answer."""
        await self._inner.end()


async def with_fallbacks(
    run: Callable[[Call, Sink], Awaitable[None]], call: Call, sink: Sink, others: Others
) -> None:
    """Answer ``call``, or with another model if it fails; the errors are those of the last one."""
    while others.left:
        guarded = FirstBytes(sink, others)
        try:
            await run(call, guarded)
        except FAILURES as error:
            if guarded.answering or not others.after(error):
                raise
            call = await _next(call, error, others)
        else:
            return
    await run(call, sink)


async def _next(call: Call, error: GatewayError, others: Others) -> Call:
    """Return the next call that can be made; raise the last error if there is none."""
    while True:
        try:
            return await others.following(call, error)
        except GatewayError as another:
            if not others.left:
                raise error from another
