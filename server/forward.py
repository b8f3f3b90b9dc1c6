"""The engine's response goes to the client as it comes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import orjson

from server.headers import is_stream, to_client
from server.usage import TAIL, Usage, usage_of
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from server.downstream import Downstream
    from server.exchange import Exchange
    from server.growth import Growth

# The counts stand in the last chunks; four hold them even when the end comes in pieces.
_LAST_CHUNKS = 4
_SHOWN = 200


async def relay(upstream: UpstreamResponse, down: Downstream) -> Usage:
    """Status, headers and every chunk have been passed on; what the answer says of its tokens.

    Raises EngineBroke when the body ends early, EngineRefused when a stream that has begun
    would have to carry an error page that is no event.
    """
    if upstream.failed and down.begun:
        if not _is_error(upstream.first):
            raise EngineRefused(f"The engine answered {upstream.status}: {_start(upstream.first)}")
        await down.answer(upstream.status, {}, down.dialect.page(upstream.status, upstream.first))
        return Usage()
    if upstream.failed and down.dialect.translates:
        headers = to_client(upstream.headers)
        # Set anew, for the page as it is now.
        headers.popall("Content-Length", None)
        await down.answer(
            upstream.status, headers, down.dialect.page(upstream.status, upstream.first)
        )
        return Usage()
    if upstream.whole and not down.begun:
        await down.answer(upstream.status, to_client(upstream.headers), upstream.first)
        # Sent before the books are kept: the client need not wait for those.
        await down.end()
        return usage_of(upstream.first[-TAIL:])
    await down.begin(upstream.status, to_client(upstream.headers))
    last: deque[bytes] = deque(maxlen=_LAST_CHUNKS)
    chunk = upstream.first
    while chunk:
        last.append(chunk)
        down.chunks += 1
        await down.write(chunk)
        chunk = await upstream.read()
    return usage_of(b"".join(last)[-TAIL:])


async def relay_growing(
    upstream: UpstreamResponse, down: Downstream, growth: Growth, exchange: Exchange
) -> Usage:
    """The same, but an answer that its context cuts short goes on in a larger variant."""
    if upstream.failed:
        return await relay(upstream, down)
    if not is_stream(upstream.headers):
        return await _whole(upstream, down, growth, exchange)
    last: deque[bytes] = deque(maxlen=_LAST_CHUNKS)
    following: UpstreamResponse | None = upstream
    while following is not None:
        down.decided = exchange.decision()
        await down.begin(following.status, to_client(following.headers))
        async with following:
            chunk = following.first
            while chunk:
                if passed := growth.feed(chunk):
                    last.append(passed)
                    await down.write(passed)
                chunk = await following.read()
        request = growth.stream_so_far(exchange.context)
        following = None if request is None else await exchange.grow(growth, request)
    if end := growth.held():
        last.append(end)
        await down.write(end)
    return usage_of(b"".join(last)[-TAIL:])


async def _whole(
    upstream: UpstreamResponse, down: Downstream, growth: Growth, exchange: Exchange
) -> Usage:
    following: UpstreamResponse | None = upstream
    while following is not None:
        upstream = following
        async with upstream:
            body = upstream.first
            while more := await upstream.read():
                body += more
        request = growth.whole_so_far(body, exchange.context)
        following = None if request is None else await exchange.grow(growth, request)
    headers = to_client(upstream.headers)
    headers.popall("Content-Length", None)
    down.decided = exchange.decision()
    body = growth.whole(body)
    await down.answer(upstream.status, headers, body)
    await down.end()
    return usage_of(body[-TAIL:])


def _is_error(body: bytes) -> bool:
    """Whether the body has OpenAI's shape of an error, and so can be passed on as an event."""
    try:
        return isinstance(orjson.loads(body)["error"], dict)
    except (ValueError, KeyError, TypeError, IndexError):
        return False


def _start(body: bytes) -> str:
    return " ".join(body[:_SHOWN].decode("utf-8", "replace").split())
