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
# How good streams begin: Anthropic's, and a chat with its role in the first event, near its start.
_START = b"event: message_start\n"
_ROLE, _NEAR = b'"delta":{"role":"', 300
# How they end.
_GOOD_ENDS = (b"data: [DONE]\n\n", b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


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
    chunk = upstream.first
    if (outlet := sink.outlet()) is None:
        while chunk or (chunk := await upstream.read()):
            tally.add(chunk)
            await sink.write(chunk)
            chunk = b""
        return tally.usage()
    if chunk:
        tally.add(chunk)
        if not outlet.put(chunk):
            await outlet.drained()
    take = tally.between(upstream.heard, outlet.put)
    while not await upstream.pump(take):
        await outlet.drained()
    return tally.usage()


async def begin_well(upstream: UpstreamResponse, call: Call) -> bool:
    """Put in front of a stream the events that it lacks; return whether its end may lack some, too.

    Reads on until its first event is whole; EngineBroke when the stream breaks off before that.
    Nothing can be added to an answer whose length was promised, or that the client may read again
    from a place that it counts in bytes.
    """
    headers, first = upstream.headers, upstream.first
    if not call.facts.stream or upstream.failed or call.conversation is not None:
        return False
    if "Content-Length" in headers or not headers.get("Content-Type", "").startswith(_EVENTS):
        return False
    # Mostly it is good, and seen at once. A quotation mark inside a text would be escaped.
    if first.startswith(_START) or first.find(_ROLE, 0, _NEAR) > 0:
        return True
    record, endpoint = call.record, call.facts.endpoint
    answer = Answer(f"msg_{record.id}", call.facts.model or call.model.name, record.prompt or 0)
    while (missing := missing_beginning(endpoint, upstream.first, answer)) is None:
        more = await upstream.read()
        if not more:
            return True
        upstream.first += more
    if missing:
        upstream.first = missing + upstream.first
    return True


async def end_well(sink: Sink, call: Call, *, events: bool) -> None:
    """Write the end that a stream lacks; raise EngineBroke if it ended in the middle.

    ``events`` is what ``begin_well`` has returned.
    """
    tail = call.record.tally.tail
    if not events or tail.endswith(_GOOD_ENDS):
        return
    missing = missing_end(call.facts.endpoint, tail)
    if missing is None:
        raise EngineBroke("The engine ended its stream in the middle.")
    if missing:
        await sink.write(missing)
