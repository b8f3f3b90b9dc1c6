"""Send one request to a gateway, and time the beginning and the end of its answer."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

# Seconds that a request may wait at most, even for a very slow engine.
LONGEST = 900.0


@dataclass(frozen=True)
class Timed:
    """The seconds until the answer began, and until it was complete."""

    waited: float
    whole: float


async def ask(port: int, path: str, body: dict[str, Any], client: str) -> Timed:
    """Return the times of a complete answer; raise ConnectionError if it is missing or cut off."""
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
                # Keep-alive comments do not count as the beginning of the answer.
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
