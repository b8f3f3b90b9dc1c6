"""A client that sees every byte: what came when, in which HTTP chunk, and how it ended."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self

PATIENCE = 15.0


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A whole POST request, with its length."""
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
    """One connection. ``status`` and ``headers`` are there after ``head``."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    comments: int = 0
    cut: bool = False
    _rest: bytes = b""

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> Self:
        """Status and headers have come."""
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
        """The body of a response that says how long it is."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(int(self.headers["content-length"]))

    async def chunk(self) -> bytes:
        """The next HTTP chunk; empty at the end of the body, ``cut`` when it is none."""
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
        """The next event or comment, without the blank line after it; None at the end."""
        while b"\n\n" not in self._rest:
            data = await self.chunk()
            if not data:
                assert not self._rest, f"the stream ended inside {self._rest!r}"
                return None
            self._rest += data
        event, _, self._rest = self._rest.partition(b"\n\n")
        return event.decode()

    async def comment(self) -> None:
        """The next thing in the stream has come, and it is a comment."""
        event = await self.event()
        assert event is not None
        assert event.startswith(":"), event
        self.comments += 1

    async def data(self) -> Any:
        """The next event that is no comment, decoded; the text ``[DONE]``; None at the end."""
        while (event := await self.event()) is not None and event.startswith(":"):
            self.comments += 1
        if event is None:
            return None
        assert event.startswith("data: "), event
        text = event.removeprefix("data: ")
        return text if text == "[DONE]" else json.loads(text)

    async def rest(self) -> list[Any]:
        """All data until the end of the body."""
        return [data async for data in self._all_data()]

    async def _all_data(self) -> Any:
        while (data := await self.data()) is not None:
            yield data

    async def closed(self) -> bool:
        """The other side has closed the connection, and there was nothing more to read."""
        async with asyncio.timeout(PATIENCE):
            try:
                return not await self.reader.read(1)
            except ConnectionError:
                return True

    def leave(self) -> None:
        """The connection is gone, at once."""
        self.writer.transport.abort()


def text_of(events: list[Any]) -> str:
    """The text that a stream's events carry."""
    choices = [event["choices"][0] for event in events if event != "[DONE]" and event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
