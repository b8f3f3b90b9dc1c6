"""``Hold``: a lease that outlives its request while an engine writes for a conversation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import orjson

from utils.errors import GatewayError, RequestCancelled
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.lease import Lease
    from engine.upstream import UpstreamResponse
    from inference.in_flight import Ongoing, RequestRegistry
    from inference.stream_registry import StreamRegistry

_log = get_logger("resume")


class Hold:
    """A lease that outlives its request while an engine writes for a conversation."""

    def __init__(
        self,
        conversations: StreamRegistry,
        lease: Lease,
        conversation: str | None,
        ongoing: Ongoing,
        requests: RequestRegistry,
    ) -> None:
        self.lease = lease
        self._conversations = conversations
        self._conversation = conversation
        self._ongoing = ongoing
        self._requests = requests
        self._opening: asyncio.Task[None] | None = None
        self._rest: asyncio.Task[None] | None = None
        self._upstream: UpstreamResponse | None = None
        self._error: GatewayError | None = None
        self._at_end: Callable[[], None] | None = None

    def at_end(self, act: Callable[[], None]) -> None:
        """``act`` is done when the engine writes no more for the request."""
        self._at_end = act

    async def __aenter__(self) -> Self:
        if self._conversation is not None:
            await self._conversations.stop(self._conversation)
        await self.lease.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        left = kind is not None and issubclass(kind, asyncio.CancelledError | ConnectionError)
        if left and self._opening is not None and not self._conversations.closing:
            # Nothing is awaited here: a second cancellation would lose the lease.
            self._conversations.listening(self)
            rest = self._cut() if self._ongoing.record.cancelled else self._go_on()
            self._rest = self._conversations.spawn(rest, "rest")
            # Also when it is cancelled before its first step.
            self._rest.add_done_callback(lambda _rest: self._release())
            return
        if self._opening is not None:
            self._opening.cancel()
        self._release()

    async def open(self, opening: Callable[[], Awaitable[UpstreamResponse]]) -> UpstreamResponse:
        """The answer that ``opening`` brings, also to a client that leaves before it comes."""
        if self._conversation is None:
            self._upstream = await opening()
            return self._upstream
        self._conversations.begun(self._conversation, self)
        self._opening = self._conversations.spawn(self._open(opening), "open")
        await asyncio.shield(self._opening)
        if self._upstream is None:
            raise self._error or GatewayError("The engine gave no answer.")
        return self._upstream

    def give_up(self) -> None:
        """The rest is not listened to any more."""
        if self._rest is not None:
            self._rest.cancel()

    async def _open(self, opening: Callable[[], Awaitable[UpstreamResponse]]) -> None:
        try:
            self._upstream = await opening()
        except GatewayError as error:
            self._error = error

    async def _go_on(self) -> None:
        self._requests.add(self._ongoing)
        try:
            with self._ongoing:
                await self._listen()
        except RequestCancelled as error:
            _log.info("id=%s goes on no more: %s", self._ongoing.record.id, error.message)
            await self._cut()
        except GatewayError as error:
            _log.info("the rest of id=%s is lost: %s", self._ongoing.record.id, error.message)
        finally:
            self._requests.remove(self._ongoing)

    async def _listen(self) -> None:
        if self._opening is not None:
            await self._opening
        if self._upstream is not None and await self._is_kept():
            label, name = self.lease.variant.label, self._ongoing.record.id
            _log.info("%s goes on for a client that left, id=%s", label, name)
            self._ongoing.record.detached = True
            while await self._upstream.read():
                self._ongoing.down.chunks += 1

    async def _cut(self) -> None:
        # To hang up is not enough: the engine would go on, as for a client that left.
        if self._opening is not None:
            self._opening.cancel()
        if self._conversation is not None:
            await self.lease.client.stop_stream(self._conversation)

    async def _is_kept(self) -> bool:
        """Whether the engine keeps the conversation; older ones end with their client."""
        names = orjson.dumps({"conversation_ids": [self._conversation]})
        return bool(await self.lease.client.streams(names))

    def _release(self) -> None:
        if self._conversation is not None:
            self._conversations.ended(self._conversation, self)
        if self._upstream is not None:
            self._upstream.close()
        if self._at_end is not None:
            self._at_end()
        self.lease.leave()
