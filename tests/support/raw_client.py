"""A client that sees every byte: its time, its HTTP chunk, and how the response ended."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, Self

from stream_judge import check_stream

# Seconds: nothing but a fault takes as long, on a busy machine too.
PATIENCE = 30.0
_REQUEST = re.compile(rb"[A-Z]+ (\S+) HTTP/1\.1\r\n")


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return a whole POST request with its length."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class RawClient:
    """One connection. ``status`` and ``headers`` are set after ``head``."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    comments: int = 0
    cut: bool = False
    checked: bool = True
    _rest: bytes = b""
    _paths: list[str] = field(default_factory=list)
    _path: str = ""
    _body: bytearray = field(default_factory=bytearray)

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        if request := _REQUEST.match(data):
            self._paths.append(request[1].decode("latin-1"))
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Self:
        """Read status and headers."""
        self._path, self._body = (self._paths.pop(0) if self._paths else ""), bytearray()
        async with asyncio.timeout(PATIENCE):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.rstrip("\r\n").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        return self

    async def body(self) -> bytes:
        """Return the body of a response with a length."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(int(self.headers["content-length"]))

    async def chunk(self) -> bytes:
        """Return the next HTTP chunk; empty at the end of the body, ``cut`` if it is incomplete.

        At its end, a stream must be one as its API promises if it is ``checked``.
        """
        data = await self._next()
        self._body += data
        if not data and self.checked:
            kind = self.headers.get("content-type", "")
            check_stream(self._path, kind, bytes(self._body), cut=self.cut)
        return data

    async def _next(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            try:
                line = await self.reader.readuntil(b"\r\n")
            except asyncio.IncompleteReadError as error:
                assert not error.partial, "the end is no place within a chunk"
                self.cut = True
                return b""
            size = int(line.partition(b";")[0], 16)
            data = (await self.reader.readexactly(size + 2))[:-2]
        if data:
            self.chunks.append(data)
        return data

    async def event(self) -> str | None:
        """Return the next event or comment, without the blank line after it; None at the end."""
        while b"\n\n" not in self._rest:
            data = await self.chunk()
            if not data:
                assert not self._rest, f"the stream ended inside {self._rest!r}"
                return None
            self._rest += data
        event, _, self._rest = self._rest.partition(b"\n\n")
        return event.decode()

    async def comment(self) -> None:
        """Return the next item of the stream, which must be a comment."""
        event = await self.event()
        assert event is not None
        assert event.startswith(":"), event
        self.comments += 1

    async def data(self) -> Any:
        """Return the next event (no comment), decoded, or the text ``[DONE]``; None at the end."""
        while (event := await self.event()) is not None and event.startswith(":"):
            self.comments += 1
        if event is None:
            return None
        assert event.startswith("data: "), event
        text = event.removeprefix("data: ")
        return text if text == "[DONE]" else json.loads(text)

    async def rest(self) -> list[Any]:
        """Return all data until the end of the body."""
        return [data async for data in self._all_data()]

    async def _all_data(self) -> Any:
        while (data := await self.data()) is not None:
            yield data

    async def closed(self) -> bool:
        """Return whether the other side has closed the connection, with no data left."""
        async with asyncio.timeout(PATIENCE):
            try:
                return not await self.reader.read(1)
            except ConnectionError:
                return True

    def leave(self) -> None:
        """Close the connection at once."""
        self.writer.transport.abort()


def text_of(events: list[Any]) -> str:
    """Return the text in a stream's events."""
    choices = [event["choices"][0] for event in events if event != "[DONE]" and event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
