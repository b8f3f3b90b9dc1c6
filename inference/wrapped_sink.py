"""The base of sinks that stand between a call and the sink of its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference.call import Outlet, Sink


class WrappedSink:
    """Shares the state of ``_inner``; a subclass decides what is passed on to it, and how."""

    def __init__(self, inner: Sink) -> None:
        self._inner = inner

    @property
    def decided(self) -> dict[str, str]:
        """The gateway's own headers of the answer."""
        return self._inner.decided

    @decided.setter
    def decided(self, headers: dict[str, str]) -> None:
        self._inner.decided = headers

    @property
    def progress(self) -> Callable[[], str] | None:
        """Tell what a waiting client waits for."""
        return self._inner.progress

    @progress.setter
    def progress(self, progress: Callable[[], str] | None) -> None:
        self._inner.progress = progress

    @property
    def begun(self) -> bool:
        """Whether the client has a part of the answer."""
        return self._inner.begun

    def outlet(self) -> Outlet | None:
        """Return None: a subclass looks at each piece."""
        return None


class HoldingSink(WrappedSink):
    """Holds a whole answer in ``_pieces``; an engine's error goes on to ``inner``.

    ``refused`` says that this has happened, and that there is nothing more to answer.
    """

    def __init__(self, inner: Sink) -> None:
        super().__init__(inner)
        self._pieces: list[bytes] = []
        self.refused = False

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Hold an answer in one piece."""
        del status, headers
        self._pieces.append(body)

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """Tell the client of an engine's error answer."""
        self.refused = True
        if not await self._inner.refuse(status, headers, body):
            await self._inner.answer(status, headers, body)
        return True

    async def end(self) -> None:
        """Note that the answer is complete; the client's response goes on."""
