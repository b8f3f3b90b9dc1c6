"""Pass an engine's answer on to the sink as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.usage import TAIL, Tally, Usage, usage_of

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from inference.call import Sink


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
        return usage_of(upstream.first[-TAIL:])
    await sink.begin(upstream.status, upstream.headers)
    chunk = upstream.first
    while chunk:
        tally.add(chunk)
        await sink.write(chunk)
        chunk = await upstream.read()
    return tally.usage()
