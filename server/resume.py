"""Streams that outlive their clients: ``X-Conversation-Id`` and ``/v1/stream``.

llama-server goes on writing the answer to a streamed request with that header when its client
leaves, and keeps what it wrote: ``GET /v1/stream?conv_id=…`` reads it again from any byte, and
``DELETE`` ends it. While it writes, the engine is at work, so the gateway listens in the
client's place and keeps the lease: no other request is sent to a slot that is not free, and
the engine is not taken for idle. Which engine holds a conversation is remembered as long as
that engine runs.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Self

import orjson

from utils.errors import BadRequest, GatewayError, StreamNotFound
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from engine.client import EngineClient
    from engine.lease import Lease
    from engine.manager import EngineManager
    from engine.upstream import UpstreamResponse
    from models.request import RequestFacts
    from models.spec import VariantSpec

_log = get_logger("resume")
_HEADER = "X-Conversation-Id"
_LONGEST = 512
_KEPT = 1024


def conversation_of(headers: Mapping[str, str], facts: RequestFacts) -> str | None:
    """The conversation whose answer can be read again, or None: only streams are kept."""
    conversation = headers.get(_HEADER)
    if not conversation or not facts.stream:
        return None
    if len(conversation) > _LONGEST:
        raise BadRequest(f"{_HEADER} is longer than {_LONGEST} characters.", param=_HEADER)
    return conversation


class Conversations:
    """Knows which engine holds which conversation, and listens for clients that have left."""

    def __init__(self, manager: EngineManager) -> None:
        self._manager = manager
        self._tasks = TaskOwner("conversations")
        self._holders: OrderedDict[str, Lease] = OrderedDict()
        self._at_work: dict[str, Hold] = {}
        self._listeners: set[Hold] = set()
        self._closing = False

    def hold(self, lease: Lease, conversation: str | None) -> Hold:
        """``lease``, to be entered, for a request of this conversation or of none."""
        return Hold(self, lease, conversation)

    def holder(self, conversation: str) -> tuple[VariantSpec, EngineClient]:
        """The running engine that holds the conversation; StreamNotFound when none does."""
        lease = self._holders.get(conversation)
        if lease is not None:
            if any(client is lease.client for _, client in self._manager.ready()):
                return lease.variant, lease.client
            del self._holders[conversation]
        raise StreamNotFound(
            "No running engine holds a stream of this conversation: it was never begun, or its"
            " engine has ended."
        )

    async def lookup(self, body: bytes) -> list[Any]:
        """What the running engines say of the conversations that ``body`` names."""
        found: list[Any] = []
        for _, client in self._manager.ready():
            found += await client.streams(body)
        return found

    async def stop(self, conversation: str) -> None:
        """What an engine still writes for the conversation ends; its turn comes after that."""
        hold = self._at_work.get(conversation)
        if hold is not None:
            await hold.lease.client.stop_stream(conversation)

    def close(self) -> None:
        """Nobody can read the rest later: engines need not write it."""
        self._closing = True
        for hold in self._listeners:
            hold.give_up()

    # -- for Hold --------------------------------------------------------------------

    def begun(self, conversation: str, hold: Hold) -> None:
        """An engine is about to write for the conversation."""
        self._at_work[conversation] = hold
        self._holders[conversation] = hold.lease
        self._holders.move_to_end(conversation)
        if len(self._holders) > _KEPT:
            self._holders.popitem(last=False)

    def listening(self, hold: Hold) -> None:
        """Its client has left, and it listens on."""
        self._listeners.add(hold)

    def ended(self, conversation: str, hold: Hold) -> None:
        """The engine writes no more for it."""
        self._listeners.discard(hold)
        if self._at_work.get(conversation) is hold:
            del self._at_work[conversation]

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """The coroutine runs on, whoever leaves."""
        return self._tasks.spawn(coroutine, name)

    @property
    def closing(self) -> bool:
        """Whether the gateway ends."""
        return self._closing


class Hold:
    """A lease that outlives its request while an engine writes for a conversation."""

    def __init__(
        self, conversations: Conversations, lease: Lease, conversation: str | None
    ) -> None:
        self.lease = lease
        self._conversations = conversations
        self._conversation = conversation
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
            self._rest = self._conversations.spawn(self._listen(), "rest")
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

    async def _listen(self) -> None:
        try:
            if self._opening is not None:
                await self._opening
            if self._upstream is not None and await self._is_kept():
                _log.info("%s goes on for a client that left", self.lease.variant.label)
                while await self._upstream.read():
                    pass
        except GatewayError as error:
            _log.info("the rest of a conversation is lost: %s", error.message)

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
