"""engine/connection_pool.py: which requests go this way, as which bytes, on which connection."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from typing import TYPE_CHECKING

import pytest
from multidict import CIMultiDict
from ports import quiet_port

from engine.connection_pool import LARGEST_BODY, ConnectionPool, NotConnected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Engine:
    """Answers every request with ``answer``; b"" closes the connection instead."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                self.requests.append(head + await reader.readexactly(int(length[1])))
                if not self.answer:
                    break
                writer.write(self.answer)
        self.open.discard(writer)
        writer.close()
        self.closed.set()


@contextlib.asynccontextmanager
async def running(
    engine: Engine,
    own: Mapping[str, str] | None = None,
    *,
    keep: float = 60.0,
    host: str = "127.0.0.1",
    path: str = "",
) -> AsyncIterator[ConnectionPool]:
    """Yield a pool of connections to ``engine``."""
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    server = await asyncio.start_server(engine.serve, host.strip("[]"), 0, family=family)
    port = server.sockets[0].getsockname()[1]
    pool = ConnectionPool.of(f"http://{host}:{port}{path}", own or {}, keep)
    assert pool is not None
    try:
        yield pool
    finally:
        pool.close()
        for writer in tuple(engine.open):
            writer.close()
        server.close()


async def posted(pool: ConnectionPool, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the answer to a request; its connection is given back."""
    connection = await pool.post("/v1/chat?a=b", headers or {}, b"{}")
    assert connection is not None
    body = await connection.read()
    connection.close()
    return body


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost", True),
        ("http://10.1.2.3:80/base", True),
        ("https://127.0.0.1:8080", False),
        ("http://engine.example:8080", False),
        ("http://me:secret@127.0.0.1:8080", False),
    ],
)
async def test_which_engines_are_asked_directly(url: str, *, direct: bool) -> None:
    assert (ConnectionPool.of(url, {}, 1.0) is not None) is direct


async def test_which_requests_are_sent_directly() -> None:
    async with running(Engine()) as pool:
        assert await pool.post("/v1/chat?a=%20b", {}, b"x" * LARGEST_BODY) is not None
        assert await pool.post("/", {}, b"x" * (LARGEST_BODY + 1)) is None
        for target in ("", "v1", "/a b", "/a\r\nX: y", "/ä", "/a#b", "/\0", "/\x7f"):
            assert await pool.post(target, {}, b"") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_the_bytes_of_a_request(host: str) -> None:
    engine = Engine()
    own = {"Authorization": "Bearer own"}
    async with running(engine, own, host=host, path="/base/") as pool:
        port = pool._port
        headers = CIMultiDict([("X-A", "1"), ("x-a", "caf\udce9"), ("authorization", "theirs")])
        assert await posted(pool, headers) == b"ok"
        assert engine.requests == [
            b"POST /base/v1/chat?a=b HTTP/1.1\r\nHost: %b:%d\r\nAuthorization: Bearer own\r\n"
            b"X-A: 1\r\nx-a: caf\xe9\r\nContent-Length: 2\r\n\r\n{}" % (host.encode(), port)
        ]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nX: y", "a\0"])
async def test_a_header_is_one_line(value: str) -> None:
    engine = Engine()
    async with running(engine) as pool:
        for headers in ({"X-A": value}, {f"X-{value}": "a"}):
            with pytest.raises(ValueError, match="line break"):
                await pool.post("/", headers, b"")
    assert not engine.requests


async def test_a_connection_is_used_again() -> None:
    engine = Engine()
    async with running(engine) as pool:
        for _ in range(3):
            assert await posted(pool) == b"ok"
        assert engine.connections == 1
        # Each request that is under way has its own.
        first = await pool.post("/", {}, b"")
        second = await pool.post("/", {}, b"")
        assert first is not None
        assert second is not None
        assert engine.connections == 2
        for connection in (first, second):
            connection.close()


async def test_an_idle_connection_is_closed_in_time() -> None:
    engine = Engine()
    async with running(engine, keep=0.05) as pool:
        assert await posted(pool) == b"ok"
        await engine.closed.wait()
        assert await posted(pool) == b"ok"
        assert engine.connections == 2


async def test_a_connection_that_the_engine_has_closed_is_not_used() -> None:
    engine = Engine()
    async with running(engine) as pool:
        connection = await pool.post("/", {}, b"")
        assert connection is not None
        connection.close()
        (writer,) = engine.open
        writer.close()
        while connection.usable:
            await asyncio.sleep(0)
        assert await posted(pool) == b"ok"
        assert engine.connections == 2


async def test_an_engine_that_is_not_there_was_sent_nothing() -> None:
    pool = ConnectionPool.of(f"http://127.0.0.1:{quiet_port()}", {}, 1.0)
    assert pool is not None
    with pytest.raises(NotConnected):
        await pool.post("/", {}, b"")


async def test_an_engine_that_hangs_up_was_sent_something() -> None:
    async with running(Engine(b"")) as pool:
        with pytest.raises(ConnectionError, match="Server disconnected") as raised:
            await pool.post("/", {}, b"")
        assert not isinstance(raised.value, NotConnected)


async def test_the_end_of_the_pool_closes_idle_and_busy_connections() -> None:
    engine = Engine()
    async with running(engine) as pool:
        assert await posted(pool) == b"ok"
        engine.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        begun = await pool.post("/", {}, b"")
        assert begun is not None
        engine.answer = b"HTTP/1.1 100 Continue\r\n\r\n"
        opening = asyncio.ensure_future(pool.post("/", {}, b""))
        while len(engine.requests) < 3:
            await asyncio.sleep(0)
        pool.close()
        with pytest.raises(ConnectionError):
            await opening
        with pytest.raises(ConnectionError):
            await begun.read()
        while engine.open:
            await asyncio.sleep(0)
        with pytest.raises(NotConnected):
            await pool.post("/", {}, b"")


async def test_who_leaves_while_the_answer_begins_closes_the_connection() -> None:
    engine = Engine(b"HTTP/1.1 100 Continue\r\n\r\n")
    async with running(engine) as pool:
        opening = asyncio.ensure_future(pool.post("/", {}, b""))
        while not engine.requests:
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await engine.closed.wait()
