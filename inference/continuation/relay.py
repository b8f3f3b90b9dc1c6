"""The relay of an answer that may be continued in a larger variant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from inference.call import State
from inference.continuation.answer import ContinuedAnswer
from inference.continuation.stream import ContinuedStream
from inference.upstream_call import decision
from inference.usage import Tally, Usage, usage_of_answer
from utils.errors import EngineBroke

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from inference.call import Outlet, Sink
    from inference.continuation.codec import Codec
    from inference.continuation.eligibility import Eligibility
    from inference.upstream_call import UpstreamCall

# Bytes of a stream that are read in a millisecond or two.
_READ_INLINE = 256 * 1024
_NOT_CONTINUED = "cannot grow: it is not continued"


class Continuing:
    """An answer in progress, which is continued in a larger variant if its context is full.

    If it cannot be continued, the client gets the engine's own end. If an engine begins a new
    answer instead, ``eligibility`` is told.
    """

    def __init__(self, upstream_call: UpstreamCall, codec: Codec, eligibility: Eligibility) -> None:
        self._eligibility = eligibility
        self._call = upstream_call
        self._codec = codec
        self._stream = ContinuedStream(codec, upstream_call.call.facts)
        self._grew = False

    async def relay(self, upstream: UpstreamResponse, sink: Sink, tally: Tally) -> Usage:
        """Do what ``inference.relay.relay`` does, with all continuations of the answer."""
        if not upstream.headers.get("Content-Type", "").startswith("text/event-stream"):
            return await self._relay_whole(upstream, sink)
        await sink.begin(upstream.status, upstream.headers)
        following = upstream
        while True:
            try:
                outlet = sink.outlet() if following is upstream else None
                if outlet is None:
                    await self._read(following, sink, tally)
                else:
                    await self._pump(following, sink, outlet, tally)
            except EngineBroke as error:
                if self._call.state is not State.CONTINUING or self._stream.joined:
                    raise
                self._call.kept(f"cannot grow: {error.message}")
            continuation = await self._following()
            if continuation is None:
                break
            following = continuation
        if end := self._stream.end():
            tally.add(end)
            await sink.write(end)
        usage = tally.usage()
        return usage._replace(cached=self._stream.cached, read=None) if self._grew else usage

    async def _pump(
        self, upstream: UpstreamResponse, sink: Sink, outlet: Outlet, tally: Tally
    ) -> None:
        """Pass on what the first engine says, where it arrives."""
        heard, feed, add = upstream.heard, self._stream.feed, tally.add
        if passed := feed(upstream.first):
            add(passed)
            await sink.write(passed)
        put = outlet.put

        def take(chunk: bytes) -> bool:
            heard(chunk)
            if not (passed := feed(chunk)):
                return True
            add(passed)
            return put(passed)

        while not await upstream.pump(take):
            await outlet.drained()

    async def _read(self, following: UpstreamResponse, sink: Sink, tally: Tally) -> None:
        """Pass on what an engine says, and tell the client which it is, once it has joined."""
        chunk = following.first
        while chunk and (passed := self._feed(chunk)) is not None:
            if passed:
                if (call := self._call).joined():
                    self._grew = True
                    sink.decided = decision(call.call, call.selection, call.variant)
                    await sink.begin(following.status, {})
                tally.add(passed)
                await sink.write(passed)
            chunk = await following.read()

    def _feed(self, chunk: bytes) -> bytes | None:
        """Return what the client may get of the stream's next bytes; None: read no further."""
        passed = self._stream.feed(chunk)
        if self._stream.refused:
            self._refused(anew=self._stream.anew)
            return None
        return passed

    def _refused(self, *, anew: bool) -> None:
        if anew:
            self._eligibility.answered_anew(self._call.call.model)
        self._call.kept(_NOT_CONTINUED)

    async def _following(self) -> UpstreamResponse | None:
        """Return the continuation of a stream that is over; None if the answer has ended."""
        ended, context = self._stream.ended, self._call.lease.variant.capacity
        if self._stream.size <= _READ_INLINE:
            continuation = ended(context)
        else:
            # Other streams go on while all that was said is read once more.
            continuation = await asyncio.to_thread(ended, context)
        if self._call.state is State.CONTINUING:
            self._call.kept(_NOT_CONTINUED)
        if continuation is None:
            return None
        following = await self._call.resume(continuation)
        if following is not None:
            self._stream.resume()
        return following

    async def _relay_whole(self, upstream: UpstreamResponse, sink: Sink) -> Usage:
        call = self._call
        answer = ContinuedAnswer(self._codec, call.call.facts, await _body(upstream))
        while (continuation := answer.ended(call.lease.variant.capacity)) is not None:
            following = await call.resume(continuation)
            if following is None:
                break
            try:
                joins = answer.joins(await _body(following))
            except EngineBroke as error:
                call.kept(f"cannot grow: {error.message}")
                break
            if not joins:
                self._refused(anew=answer.anew)
                break
            self._grew = call.joined()
        sink.decided = decision(call.call, call.selection, call.variant)
        headers = dict(upstream.headers)
        if self._grew:
            headers = {n: value for n, value in headers.items() if n.lower() != "content-length"}
        await sink.answer(upstream.status, headers, answer.body)
        await sink.end()
        usage = usage_of_answer(answer.body)
        return usage._replace(cached=answer.cached, read=None) if self._grew else usage


async def _body(upstream: UpstreamResponse) -> bytes:
    parts = [upstream.first]
    while more := await upstream.read():
        parts.append(more)
    return b"".join(parts)
