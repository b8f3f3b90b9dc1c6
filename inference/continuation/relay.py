"""An answer on its way to the client, which may go on in a larger variant."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from inference.continuation.answer import ContinuedAnswer
from inference.continuation.stream import ContinuedStream
from inference.relay import relay
from inference.usage import TAIL, Usage, usage_of
from server.headers import is_stream, to_client
from utils.errors import EngineBroke
from utils.logger import get_logger

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from inference.continuation.codec import Codec
    from inference.continuation.request import Continuation
    from inference.upstream_call import UpstreamCall
    from models.requests.reader import RequestFacts
    from server.client_response import ClientResponse

_log = get_logger("growing")
# The counts stand in the last of what was passed on.
_LAST = 4
# Bytes of a stream that are read in a millisecond or two.
_READ_INLINE = 256 * 1024


async def relay_continued(
    upstream: UpstreamResponse,
    down: ClientResponse,
    codec: Codec,
    facts: RequestFacts,
    exchange: UpstreamCall,
) -> Usage:
    """As ``relay``, but an answer that its context cuts short goes on in a larger variant.

    Where it cannot, the client gets the end that the engine gave it. EngineBroke when the
    engine breaks off what the client has begun to read.
    """
    if upstream.failed:
        return await relay(upstream, down)
    if is_stream(upstream.headers):
        growing = ContinuedStream(codec, facts)
        return await _Stream(down, growing, exchange).relay(upstream)
    growing_answer = ContinuedAnswer(codec, facts, await _body(upstream))
    return await _whole(upstream, down, growing_answer, exchange)


class _Stream:
    def __init__(
        self, down: ClientResponse, growing: ContinuedStream, exchange: UpstreamCall
    ) -> None:
        self._down = down
        self._exchange = exchange
        self._growing = growing
        self._first = b""
        self._last: deque[bytes] = deque(maxlen=_LAST)

    async def relay(self, upstream: UpstreamResponse) -> Usage:
        growing, exchange = self._growing, self._exchange
        await self._down.begin(upstream.status, to_client(upstream.headers))
        await self._pass_on(upstream)
        while (continuation := await self._ended()) is not None:
            following = await exchange.grow(continuation)
            if following is None:
                break
            growing.resume()
            async with following:
                try:
                    await self._pass_on(following)
                except EngineBroke as error:
                    if growing.joined:
                        raise
                    _log.info("an answer cannot grow: %s", error.message)
                    break
        if end := growing.end():
            await self._write(end)
        # As in ``relay``, Anthropic's prompt is counted at the beginning.
        usage = usage_of(self._first + b"".join(self._last)[-TAIL:])
        return usage._replace(cached=growing.cached, read=None) if exchange.grew else usage

    async def _ended(self) -> Continuation | None:
        ended, context = self._growing.ended, self._exchange.context
        if self._growing.size <= _READ_INLINE:
            return ended(context)
        # Other streams go on while all that was said is read once more.
        return await asyncio.to_thread(ended, context)

    async def _pass_on(self, upstream: UpstreamResponse) -> None:
        growing, exchange = self._growing, self._exchange
        chunk = upstream.first
        while chunk:
            passed = growing.feed(chunk)
            if growing.refused:
                exchange.refused(anew=growing.anew)
                return
            if passed:
                if exchange.joined():
                    self._down.decided = exchange.decision()
                    await self._down.begin(upstream.status, {})
                await self._write(passed)
            chunk = await upstream.read()

    async def _write(self, passed: bytes) -> None:
        self._first = self._first or passed[:TAIL]
        self._last.append(passed)
        self._down.chunks += 1
        await self._down.write(passed)


async def _whole(
    upstream: UpstreamResponse,
    down: ClientResponse,
    growing: ContinuedAnswer,
    exchange: UpstreamCall,
) -> Usage:
    headers = to_client(upstream.headers)
    while (continuation := growing.ended(exchange.context)) is not None:
        following = await exchange.grow(continuation)
        if following is None:
            break
        async with following:
            try:
                joins = growing.joins(await _body(following))
            except EngineBroke as error:
                _log.info("an answer cannot grow: %s", error.message)
                break
        if not joins:
            exchange.refused(anew=growing.anew)
            break
        exchange.joined()
    down.decided = exchange.decision()
    if exchange.grew:
        headers.popall("Content-Length", None)
    await down.answer(upstream.status, headers, growing.body)
    await down.end()
    usage = usage_of(growing.body[-TAIL:])
    return usage._replace(cached=growing.cached, read=None) if exchange.grew else usage


async def _body(upstream: UpstreamResponse) -> bytes:
    parts = [upstream.first]
    while more := await upstream.read():
        parts.append(more)
    return b"".join(parts)
