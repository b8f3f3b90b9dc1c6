"""One request to a gateway, and when its answer began and ended."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

# Nobody may wait longer than this, however far behind an engine is.
LONGEST = 900.0


@dataclass(frozen=True)
class Timed:
    """How long it took until the answer began, and until it was complete."""

    waited: float
    whole: float


async def ask(port: int, path: str, body: dict[str, Any], client: str) -> Timed:
    """The answer is complete; ConnectionError when there is none, or only a part of one."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {client}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        "Connection: close\r\n\r\n"
    )
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received, waited = bytearray(), 0.0
    try:
        writer.write(head.encode() + data)
        async with asyncio.timeout(LONGEST):
            while chunk := await reader.read(65536):
                received += chunk
                # What keeps a waiting stream alive is not its beginning.
                if not waited and (b"data: " in received or not body.get("stream")):
                    waited = time.perf_counter() - begin
    finally:
        writer.transport.abort()
    whole = time.perf_counter() - begin
    if not received.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"not answered: {bytes(received[:1000])!r}")
    if body.get("stream") and b"data: [DONE]" not in received:
        raise ConnectionError(f"cut off: {bytes(received[-300:])!r}")
    return Timed(waited, whole)
