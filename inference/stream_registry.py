"""Streams that outlive their clients: ``X-Conversation-Id`` and ``/v1/stream``.

llama-server goes on writing the answer to a streamed request with that header when its client
leaves, and keeps what it wrote: ``GET /v1/stream?conv_id=…`` reads it again from any byte, and
``DELETE`` ends it. While it writes, the engine is at work, so the gateway listens in the
client's place and keeps the lease: no other request is sent to a slot that is not free, and
the engine is not taken for idle. Which engine holds a conversation is remembered as long as
that engine runs.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from inference.detached import Hold
from inference.in_flight import Ongoing
from utils.errors import BadRequest, StreamNotFound
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Mapping

    from engine.client import EngineClient
    from engine.lease import Lease
    from engine.manager import EngineManager
    from inference.in_flight import RequestRegistry
    from models.requests.reader import RequestFacts
    from models.spec import VariantSpec
    from server.access_log import AccessRecord
    from server.client_response import ClientResponse

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


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the answer to a conversation is kept; nothing is kept of an engine that has ended."""

    variant: VariantSpec
    client: weakref.ref[EngineClient]

    @classmethod
    def of(cls, lease: Lease) -> Self:
        return cls(lease.variant, weakref.ref(lease.client))


class StreamRegistry:
    """Knows which engine holds which conversation, and listens for clients that have left."""

    def __init__(self, manager: EngineManager) -> None:
        self._manager = manager
        self._tasks = TaskOwner("conversations")
        # A lease while the engine is at work, which may become another one's before it answers.
        self._holders: OrderedDict[str, Lease | _Place] = OrderedDict()
        self._at_work: dict[str, Hold] = {}
        self._listeners: set[Hold] = set()
        self._closing = False

    def hold(
        self,
        lease: Lease,
        conversation: str | None,
        record: AccessRecord,
        down: ClientResponse,
        requests: RequestRegistry,
    ) -> Hold:
        """``lease``, to be entered, for a request of this conversation or of none.

        Among ``requests`` it is found again while its answer goes on without its client.
        """
        return Hold(self, lease, conversation, Ongoing(record, down), requests)

    def holder(self, conversation: str) -> tuple[VariantSpec, EngineClient]:
        """The running engine that holds the conversation; StreamNotFound when none does."""
        holder = self._holders.get(conversation)
        if holder is not None:
            place = holder if isinstance(holder, _Place) else _Place.of(holder)
            kept = place.client()
            if kept is not None and any(client is kept for _, client in self._manager.ready()):
                return place.variant, kept
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
        if self._holders.get(conversation) is hold.lease:
            self._holders[conversation] = _Place.of(hold.lease)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """The coroutine runs on, whoever leaves."""
        return self._tasks.spawn(coroutine, name)

    @property
    def closing(self) -> bool:
        """Whether the gateway ends."""
        return self._closing
