"""The engine's response goes to the client as it comes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import orjson

from inference.usage import TAIL, Usage, usage_of
from server.headers import to_client
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from server.client_response import ClientResponse

# The counts stand in the last chunks; four hold them even when the end comes in pieces.
_LAST_CHUNKS = 4
_SHOWN = 200


async def relay(upstream: UpstreamResponse, down: ClientResponse) -> Usage:
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
    # What Anthropic's streams tell of the prompt stands at their beginning.
    return usage_of(upstream.first[:TAIL] + b"".join(last)[-TAIL:])


def _is_error(body: bytes) -> bool:
    """Whether the body has OpenAI's shape of an error, and so can be passed on as an event."""
    try:
        return isinstance(orjson.loads(body)["error"], dict)
    except (ValueError, KeyError, TypeError, IndexError):
        return False


def _start(body: bytes) -> str:
    return " ".join(body[:_SHOWN].decode("utf-8", "replace").split())
