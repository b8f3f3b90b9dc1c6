"""server/protocol.py: connections that idle, stall, close a half, or leave."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from raw_client import PATIENCE, RawClient

from server.client_response import ClientResponse
from server.descriptors import Descriptors
from server.exchange import of_aiohttp
from server.protocol import LIMITS, HttpServer, Limits
from utils.clock import LoopClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.exchange import Request
    from utils.errors import GatewayError

GET = "GET {path} HTTP/{version}\r\nHost: localhost\r\n{more}\r\n"


@dataclass
class Frame:
    """Answers as the path says, and writes down what it saw."""

    seen: list[str] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: Request) -> None:
        request.response = response = ClientResponse(request, LoopClock())
        try:
            async with response:
                self.started.set()
                if request.path == "/stream":
                    response.keep_alive(PATIENCE)
                    await response.begin(200, {"Content-Type": "text/event-stream"})
                if request.path == "/plain":
                    await response.begin(200, {"Content-Type": "text/plain"})
                if request.path != "/":
                    await self.go_on.wait()
                body = await of_aiohttp(request).read()
                if request.path != "/stream":
                    await response.answer(200, {}, body or b"done")
                await response.end()
            self.seen.append(f"{request.path} answered")
        except (asyncio.CancelledError, ConnectionError):
            self.seen.append(f"{request.path} cancelled")
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
    clients: list[RawClient] = field(default_factory=list)

    async def client(self, path: str = "", *, version: str = "1.1", more: str = "") -> RawClient:
        client = await RawClient.connect(self.port)
        self.clients.append(client)
        if path:
            await client.send(GET.format(path=path, version=version, more=more).encode())
        return client


@asynccontextmanager
async def served(
    limits: Limits = LIMITS, descriptors: Descriptors | None = None
) -> AsyncIterator[Served]:
    frame = Frame()
    server = HttpServer(frame, limits, descriptors)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    at = Served(frame, runner.addresses[0][1], server)
    try:
        yield at
    finally:
        frame.go_on.set()
        for client in at.clients:
            client.leave()
        await runner.cleanup()


QUICK = Limits(head=0.05, idle=PATIENCE)


# -- Heads that do not come ------------------------------------------------------------


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with served(QUICK) as at:
        assert await (await at.client()).closed()
        assert at.frame.seen == []


@pytest.mark.parametrize("sent", [b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n"])
async def test_half_a_head_is_refused_in_time(sent: bytes) -> None:
    async with served(QUICK) as at:
        client = await at.client()
        await client.send(sent)
        assert (await client.head()).status == 408
        assert b"request_timeout" in await client.body()
        assert client.headers["x-request-id"] == "1"
        assert await client.closed()
        assert at.frame.seen == ["- - RequestTimeout"]


async def test_a_head_that_trickles_is_refused_in_time() -> None:
    async with served(QUICK) as at:
        client = await at.client()

        async def trickle() -> None:
            with suppress(ConnectionError):
                await client.send(b"GET / HTTP/1.1\r\nX-Slow: ")
                while not client.writer.is_closing():
                    await client.send(b"G")
                    await asyncio.sleep(0.002)

        trickling = asyncio.create_task(trickle())
        assert (await client.head()).status == 408
        client.leave()
        await trickling


async def test_half_of_a_second_head_is_refused_in_time() -> None:
    async with served(QUICK) as at:
        client = await at.client("/")
        assert await (await client.head()).body() == b"done"
        await client.send(b"GET / HT")
        assert (await client.head()).status == 408


async def test_a_slow_answer_is_not_taken_for_a_slow_head() -> None:
    async with served(Limits(head=0.05, idle=0.05)) as at:
        client = await at.client("/slow")
        await at.frame.started.wait()
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        other = await at.client()
        assert await other.closed()  # its time has passed since
        at.frame.go_on.set()
        assert await (await client.head()).body() == b"done"


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with served(Limits(head=PATIENCE, idle=0.05)) as at:
        client = await at.client("/")
        assert await (await client.head()).body() == b"done"
        assert await client.closed()


# -- Clients that close their half -----------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_half_closed_at_once_has_the_answer(version: str) -> None:
    async with served() as at:
        client = await at.client("/", version=version)
        client.writer.write_eof()
        while (await client.head()).status == 100:
            pass
        assert await client.reader.read() == b"done"
        assert at.frame.seen == ["/ answered"]


async def test_a_half_closed_client_that_waits_has_the_answer() -> None:
    async with served() as at:
        client = await at.client("/slow")
        client.writer.write_eof()
        assert (await client.head()).status == 100
        at.frame.go_on.set()
        assert (await client.head()).status == 200
        assert await client.body() == b"done"
        assert await client.closed()


async def test_all_that_was_asked_before_is_answered() -> None:
    async with served() as at:
        client = await at.client("/slow")
        await client.send(GET.format(path="/", version="1.1", more="").encode())
        client.writer.write_eof()
        assert (await client.head()).status == 100
        at.frame.go_on.set()
        for _ in range(2):
            assert await (await client.head()).body() == b"done"
        assert await client.closed()
        assert at.frame.seen == ["/slow answered", "/ answered"]


async def test_a_client_that_closes_before_its_end_has_left() -> None:
    async with served() as at:
        client = await at.client("/", more="Content-Length: 10\r\n")
        await client.send(b"half")
        await at.frame.started.wait()
        client.writer.write_eof()
        await at.frame.until("/ cancelled")
        assert await client.closed()


async def test_a_plain_stream_ends_where_nothing_is_written() -> None:
    async with served(Limits(grace=0.05)) as at:
        client = await at.client("/plain")
        await client.head()
        client.writer.write_eof()
        await at.frame.until("/plain cancelled")


async def test_a_stream_goes_on_for_half_a_connection() -> None:
    async with served() as at:
        client = await at.client("/stream")
        await client.head()
        client.writer.write_eof()
        await client.comment()
        at.frame.go_on.set()
        assert await client.rest() == []
        assert not client.cut


@pytest.mark.parametrize("path", ["/slow", "/stream"])
async def test_a_client_that_has_left_is_noticed(path: str) -> None:
    async with served() as at:
        client = await at.client(path)
        await at.frame.started.wait()
        client.writer.close()
        async with asyncio.timeout(0.9):
            await at.frame.until(f"{path} cancelled")


async def test_a_half_closed_client_that_has_left_is_noticed() -> None:
    async with served(Limits(ask=0.02)) as at:
        client = await at.client("/slow")
        client.writer.write_eof()
        assert (await client.head()).status == 100
        client.leave()
        await at.frame.until("/slow cancelled")


async def test_an_old_client_that_closes_a_half_has_a_moment() -> None:
    async with served(Limits(grace=0.05)) as at:
        client = await at.client("/slow", version="1.0")
        await at.frame.started.wait()
        client.writer.write_eof()
        await at.frame.until("/slow cancelled")
        assert await client.closed()


# -- Requests that nobody has begun to answer ------------------------------------------


async def test_a_request_that_was_never_begun_is_told() -> None:
    async with served() as at:
        client = await at.client("/slow")
        await at.frame.started.wait()
        await client.send(GET.format(path="/next", version="1.1", more="").encode())
        for connection in at.server.connections:
            while not connection._messages:
                await asyncio.sleep(0.002)
            assert connection.transport is not None
            connection.transport.abort()
        await at.frame.until("/slow cancelled")
        assert sorted(at.frame.seen) == ["/slow cancelled", "GET /next left"]


async def test_a_request_whose_task_never_ran_is_told() -> None:
    async with served() as at:
        client = await at.client()
        while not at.server.connections:
            await asyncio.sleep(0.002)
        [connection] = at.server.connections
        transport = connection.transport
        assert transport is not None
        # As when both come in one turn of the loop.
        connection.data_received(GET.format(path="/", version="1.1", more="").encode())
        connection.connection_lost(None)
        assert at.frame.seen == ["GET / left"]
        transport.abort()
        assert await client.closed()


# -- Descriptors -----------------------------------------------------------------------


def next_descriptor() -> int:
    """The number that the next descriptor of this process gets."""
    number = os.dup(0)
    os.close(number)
    return number


async def test_the_longest_idle_goes_where_descriptors_are_short(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(descriptors=Descriptors(next_descriptor() + 16)) as at:
        busy = await at.client("/slow")
        await at.frame.started.wait()
        first = await at.client()
        while len(at.server.connections) < 2:
            await asyncio.sleep(0.002)
        second = await at.client("/")
        assert await (await second.head()).body() == b"done"
        assert await first.closed()
        at.frame.go_on.set()
        assert await (await busy.head()).body() == b"done"
        [told] = [record.message for record in caplog.records if "descriptors" in record.message]
        assert "closed 1 idle" in told
        assert "LimitNOFILE" in told


async def test_one_more_is_refused_where_none_is_idle() -> None:
    async with served(descriptors=Descriptors(next_descriptor() + 8)) as at:
        refused = await at.client()
        assert (await refused.head()).status == 503
        assert b"too_many_connections" in await refused.body()
        assert await refused.closed()
