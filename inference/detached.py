"""Detached streams, which outlive their clients: ``X-Conversation-Id`` and ``/v1/stream``.

For a streamed request with that header, llama-server goes on writing when the client leaves, and
keeps the stream. ``GET /v1/stream?conv_id=…`` reads it again from any byte, and ``DELETE`` ends it.
While the engine writes, the gateway reads on in the client's place and keeps the lease. So no other
request goes to the busy slot, and the engine does not count as idle. A client may limit how long
that goes on while nobody reads the stream: a page that is closed for good needs no answer. The
gateway remembers which engine has a conversation as long as that engine runs.

Only calls that name a conversation are opened here; the others are not known.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from inference.in_flight import Ongoing
from utils.errors import GatewayError, RequestCancelled, StreamNotFound
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.client import EngineClient
    from engine.manager import EngineManager
    from engine.upstream import UpstreamResponse
    from inference.in_flight import RequestRegistry
    from inference.upstream_call import UpstreamCall
    from models.spec import VariantSpec

_log = get_logger("streams")
_KEPT = 1024


@dataclass(slots=True)
class _Stream:
    """The answer that an engine is writing for a conversation, and the tasks that wait for it.

    ``readers`` counts those who read it again now. ``limit`` ends it while there are none.
    """

    conversation: str
    upstream_call: UpstreamCall
    opening: asyncio.Task[UpstreamResponse | GatewayError]
    rest: asyncio.Task[None] | None = None
    readers: int = 0
    limit: asyncio.Timeout | None = None

    def set_limit(self) -> None:
        """Let the patience begin anew if nobody reads the answer; else there is no limit."""
        patience = self.upstream_call.call.patience
        if self.limit is None or patience is None or self.limit.expired():
            return
        until = None if self.readers else asyncio.get_running_loop().time() + patience
        self.limit.reschedule(until)


class DetachedStreams:
    """Knows which engine has which conversation, and reads on for clients that left."""

    def __init__(self, manager: EngineManager, requests: RequestRegistry) -> None:
        self._manager = manager
        self._requests = requests
        self._tasks = TaskOwner("streams")
        # Each stream that an engine writes, and the latest one of each conversation.
        self._streams: dict[UpstreamCall, _Stream] = {}
        self._at_work: dict[str, _Stream] = {}
        # Nothing is kept of an engine that has ended.
        self._holders: OrderedDict[str, tuple[VariantSpec, weakref.ref[EngineClient]]] = (
            OrderedDict()
        )
        self._closing = False

    # -- for calls -------------------------------------------------------------------

    async def open(self, upstream_call: UpstreamCall, conversation: str) -> UpstreamResponse:
        """Wait for an engine, and do what ``upstream_call.open`` does.

        First the engine ends what it still writes for the conversation. The opening goes on if the
        client leaves meanwhile.
        """
        if (before := self._at_work.get(conversation)) is not None:
            await before.upstream_call.lease.client.stop_stream(conversation)
        await upstream_call.wait()
        opening = self._tasks.spawn(_opened(upstream_call), "open")
        stream = _Stream(conversation, upstream_call, opening)
        self._streams[upstream_call] = self._at_work[conversation] = stream
        self._remember(stream)
        upstream = await asyncio.shield(opening)
        if isinstance(upstream, GatewayError):
            raise upstream
        return upstream

    def take_over(self, upstream_call: UpstreamCall) -> bool:
        """Read on for a client that has left; return whether the call's end is ours now.

        Nothing is awaited: a second cancellation would lose the lease.
        """
        stream = self._streams.get(upstream_call)
        if stream is None or self._closing:
            return False
        record, upload = upstream_call.call.record, upstream_call.call.facts.upload
        if upload is not None:
            # The engine may still have to read it.
            upload.share()
        rest = self._cut(stream) if record.cancelled else self._go_on(stream)
        stream.rest = self._tasks.spawn(rest, "rest")
        # Also when it is cancelled before its first step.
        stream.rest.add_done_callback(lambda _rest: self._end(stream))
        return True

    def ended(self, upstream_call: UpstreamCall) -> None:
        """Note that the engine writes no more for a call that names a conversation.

        Harmless if it never began.
        """
        stream = self._streams.pop(upstream_call, None)
        if stream is None:
            return
        stream.opening.cancel()
        if self._at_work.get(stream.conversation) is stream:
            self._remember(stream)
            del self._at_work[stream.conversation]

    # -- for requests about streams --------------------------------------------------

    def holder(self, conversation: str) -> tuple[VariantSpec, EngineClient]:
        """Return the running engine that holds the conversation; StreamNotFound when none does."""
        if (stream := self._at_work.get(conversation)) is not None:
            self._remember(stream)
        variant, client = self._holders.get(conversation, (None, None))
        kept = None if client is None else client()
        if variant is not None and kept is not None:
            if any(client is kept for _, client in self._manager.ready()):
                return variant, kept
            del self._holders[conversation]
        raise StreamNotFound(
            "No running engine holds a stream of this conversation: it was never begun, or its"
            " engine has ended."
        )

    @contextlib.contextmanager
    def read_by_one(self, conversation: str) -> Iterator[None]:
        """Inside the block somebody reads the stream of the conversation again."""
        stream = self._at_work.get(conversation)
        if stream is None:
            yield
            return
        stream.readers += 1
        stream.set_limit()
        try:
            yield
        finally:
            stream.readers -= 1
            if self._at_work.get(conversation) is stream:
                stream.set_limit()

    async def lookup(self, body: bytes) -> list[Any]:
        """Return what the running engines know of the conversations in ``body``.

        An engine knows a stream once it writes it; one that is being opened is there as well.
        """
        found: list[Any] = []
        for _, client in self._manager.ready():
            found += await client.streams(body)
        known = {each.get("conversation_id") for each in found if isinstance(each, dict)}
        return found + [
            {"conversation_id": each, "is_done": False}
            for each in _named(body)
            if each in self._at_work and each not in known
        ]

    def close(self) -> None:
        """End the streams of clients that have left: no client can read them later."""
        self._closing = True
        for stream in self._streams.values():
            if stream.rest is not None:
                stream.rest.cancel()

    # -- in the client's place -------------------------------------------------------

    async def _go_on(self, stream: _Stream) -> None:
        record = stream.upstream_call.call.record
        ongoing = Ongoing(record)
        self._requests.add(ongoing)
        try:
            with ongoing:
                await self._read_in_time(stream)
        except TimeoutError:
            _log.info("id=%s goes on no more: nobody reads it", record.id)
            await self._cut(stream)
        except RequestCancelled as error:
            _log.info("id=%s goes on no more: %s", record.id, error.message)
            await self._cut(stream)
        except GatewayError as error:
            _log.info("the rest of id=%s is lost: %s", record.id, error.message)
        finally:
            self._requests.remove(ongoing)

    async def _read_in_time(self, stream: _Stream) -> None:
        """Read the rest; raise TimeoutError when nobody has read it again for too long."""
        try:
            async with asyncio.timeout(None) as stream.limit:
                stream.set_limit()
                await self._read(stream)
        finally:
            # It can be set no more.
            stream.limit = None

    async def _read(self, stream: _Stream) -> None:
        upstream = await stream.opening
        if isinstance(upstream, GatewayError):
            raise upstream
        call = stream.upstream_call.call
        if upstream.failed or not await self._is_kept(stream):
            return
        label = stream.upstream_call.variant.label
        _log.info("%s goes on for a client that left, id=%s", label, call.record.id)
        call.record.detached = True
        tally = call.record.tally
        if not tally.chunks:
            tally.add(upstream.first)
        while chunk := await upstream.read():
            tally.add(chunk)
        stream.upstream_call.answered(tally.usage())

    async def _cut(self, stream: _Stream) -> None:
        # To hang up is not enough: the engine would go on, as for a client that left.
        stream.opening.cancel()
        await stream.upstream_call.lease.client.stop_stream(stream.conversation)

    async def _is_kept(self, stream: _Stream) -> bool:
        """Return whether the engine keeps the conversation; older ones end with their client."""
        names = orjson.dumps({"conversation_ids": [stream.conversation]})
        return bool(await stream.upstream_call.lease.client.streams(names))

    def _end(self, stream: _Stream) -> None:
        self.ended(stream.upstream_call)
        stream.upstream_call.end()
        if (upload := stream.upstream_call.call.facts.upload) is not None:
            upload.close()

    def _remember(self, stream: _Stream) -> None:
        conversation, upstream_call = stream.conversation, stream.upstream_call
        self._holders[conversation] = upstream_call.variant, weakref.ref(upstream_call.lease.client)
        self._holders.move_to_end(conversation)
        if len(self._holders) > _KEPT:
            self._holders.popitem(last=False)


def _named(body: bytes) -> list[str]:
    named = orjson.loads(body).get("conversation_ids")
    return [each for each in named if isinstance(each, str)] if isinstance(named, list) else []


async def _opened(upstream_call: UpstreamCall) -> UpstreamResponse | GatewayError:
    """Return the answer or the failure; the client may have left by then."""
    try:
        return await upstream_call.open()
    except GatewayError as error:
        return error
