"""The gateway's HTTP server around a frame that answers by itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from gateway_client import CHAT
from raw_client import PATIENCE, RawClient

from server.client_response import ClientResponse
from server.exchange import of_aiohttp
from server.lane import Lane
from server.protocol import LIMITS, Connection, HttpServer, Limits
from utils.clock import LoopClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.descriptors import Descriptors
    from server.exchange import Request
    from utils.errors import GatewayError

# How a connection is served: by aiohttp, by aiohttp after the lane had it, or by the lane.
WAYS = ("aiohttp", "taken over", "lane")
GET = "GET {path} HTTP/{version}\r\nHost: localhost\r\n{more}\r\n"
# Says what a request to a model is to do.
DO = "X-Do"


@dataclass
class Frame:
    """Answers as the path says, or the header DO, and writes down what it saw."""

    seen: list[str] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: Request) -> None:
        request.response = response = ClientResponse(request, LoopClock())
        what = request.headers.get(DO, request.path)
        try:
            async with response:
                self.started.set()
                if what == "/stream":
                    response.keep_alive(PATIENCE)
                    await response.begin(200, {"Content-Type": "text/event-stream"})
                if what == "/plain":
                    await response.begin(200, {"Content-Type": "text/plain"})
                if what in ("/slow", "/stream", "/plain"):
                    await self.go_on.wait()
                body = request.whole
                if body is None:
                    body = await of_aiohttp(request).read()
                if what != "/stream":
                    await response.answer(200, {}, body or b"done")
                await response.end()
            self.seen.append(f"{what} answered")
        except (asyncio.CancelledError, ConnectionError):
            self.seen.append(f"{what} cancelled")
            raise

    def refused(self, method: str, path: str, error: GatewayError) -> dict[str, str]:
        self.seen.append(f"{method} {path} {type(error).__name__}")
        return {"X-Request-Id": "1"}

    def left(self, method: str, path: str) -> None:
        self.seen.append(f"{method} {path} left")

    async def until(self, seen: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while seen not in self.seen:
                await asyncio.sleep(0.002)


@dataclass
class Served:
    frame: Frame
    port: int
    server: HttpServer
    way: str
    clients: list[RawClient] = field(default_factory=list)

    def request(self, path: str, *, version: str = "1.1", more: str = "") -> bytes:
        """Return a request for what ``path`` says, which is served in this way."""
        if self.way == "lane" and version == "1.1":
            length = "" if "Content-Length" in more else "Content-Length: 0\r\n"
            more = f"{DO}: {path}\r\n{length}{more}"
            return f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n".encode()
        return GET.format(path=path, version=version, more=more).encode()

    async def client(self, path: str = "", *, version: str = "1.1", more: str = "") -> RawClient:
        client = await RawClient.connect(self.port)
        self.clients.append(client)
        if path:
            await client.send(self.request(path, version=version, more=more))
        return client

    @property
    def connections(self) -> list[Connection | Lane]:
        both = [*self.server.connections, *self.server.lanes]
        return [each for each in both if isinstance(each, Connection | Lane)]


@asynccontextmanager
async def served(
    way: str, limits: Limits = LIMITS, descriptors: Descriptors | None = None
) -> AsyncIterator[Served]:
    """Serve in one of WAYS inside the block."""
    frame = Frame()
    server = HttpServer(frame, limits, descriptors, fast=lambda: way != "aiohttp")
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    at = Served(frame, runner.addresses[0][1], server, way)
    try:
        yield at
    finally:
        frame.go_on.set()
        for client in at.clients:
            client.leave()
        await runner.cleanup()
    assert not at.connections
