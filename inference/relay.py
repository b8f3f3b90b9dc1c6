"""Pass an engine's answer on to the sink as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.usage import TAIL, Tally, Usage, usage_of_answer
from inference.wellformed import Answer, missing_beginning, missing_end
from utils.errors import EngineBroke

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from inference.call import Call, Sink

_EVENTS = "text/event-stream"


async def relay(upstream: UpstreamResponse, sink: Sink, tally: Tally) -> Usage:
    """Pass on status, headers and every chunk; return what the answer says of its tokens.

    What was relayed of a stream is in ``tally``. EngineBroke when the body ends early.
    """
    if upstream.failed and await sink.refuse(upstream.status, upstream.headers, upstream.first):
        return Usage()
    if upstream.whole and not sink.begun:
        await sink.answer(upstream.status, upstream.headers, upstream.first)
        # Sent before the books are kept: the client need not wait for those.
        await sink.end()
        tally.whole = upstream.first[-TAIL:]
        return usage_of_answer(upstream.first)
    await sink.begin(upstream.status, upstream.headers)
    if upstream.first:
        tally.add(upstream.first)
        await sink.write(upstream.first)
    if (outlet := sink.outlet()) is not None:
        take = tally.between(upstream.heard, outlet.put)
        while not await upstream.pump(take):
            await outlet.drained()
    else:
        while chunk := await upstream.read():
            tally.add(chunk)
            await sink.write(chunk)
    return tally.usage()


async def begin_well(upstream: UpstreamResponse, call: Call) -> None:
    """Put in front of a stream the events that it lacks; reads on until its first event is whole.

    EngineBroke when the stream breaks off before that.
    """
    if not _is_stream(upstream, call):
        return
    record, endpoint = call.record, call.facts.endpoint
    answer = Answer(f"msg_{record.id}", call.facts.model or call.model.name, record.prompt or 0)
    while (missing := missing_beginning(endpoint, upstream.first, answer)) is None:
        more = await upstream.read()
        if not more:
            return
        upstream.first += more
    if missing:
        upstream.first = missing + upstream.first


async def end_well(upstream: UpstreamResponse, sink: Sink, call: Call) -> None:
    """Write the end that a stream lacks; raise EngineBroke if it ended in the middle."""
    if not _is_stream(upstream, call):
        return
    missing = missing_end(call.facts.endpoint, call.record.tally.tail)
    if missing is None:
        raise EngineBroke("The engine ended its stream in the middle.")
    if missing:
        await sink.write(missing)


def _is_stream(upstream: UpstreamResponse, call: Call) -> bool:
    """Return whether the answer is a stream of events to which events can be added.

    Nothing can where its length was promised, or where the client may read it again from a place
    that it counts in bytes.
    """
    if not call.facts.stream or upstream.failed or call.conversation is not None:
        return False
    if "Content-Length" in upstream.headers:
        return False
    return upstream.headers.get("Content-Type", "").startswith(_EVENTS)
