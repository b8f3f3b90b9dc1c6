"""server/lane.py: the lane answers as aiohttp does, and hands over what is not for it."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from gateway_client import CHAT
from http_server import DO, Frame, Served, served
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_client import PATIENCE, RawClient, post

from server.lane import FOLLOWING, HELD, Lane
from server.plain_request import LARGEST_BODY
from server.protocol import Connection, HttpServer, Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.exchange import Request


# -- The lane and aiohttp give the same answers ----------------------------------------------


class Wire(asyncio.Transport):
    """A transport in memory: what the server writes is in ``written``."""

    def __init__(self, server: HttpServer, known: socket.socket) -> None:
        super().__init__({"socket": known, "peername": ("127.0.0.1", 1)})
        self.written = b""
        self.closed = asyncio.Event()
        self._protocol: Any = server()
        self._protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        if not self.closed.is_set():
            self._protocol.data_received(data)

    def write(self, data: Any) -> None:
        if not self.closed.is_set():
            self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol  # type: ignore[no-any-return]

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def close(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        """All that is fed is taken."""

    def resume_reading(self) -> None:
        """See above."""


class Echo(Frame):
    """Answers with what it was asked, whole or in chunks."""

    async def answer(self, request: Request) -> None:
        if request.headers.get(DO) != "/chunks":
            await super().answer(request)
            return
        reply = request.reply()
        reply.headers["Content-Type"] = "text/event-stream"
        await reply.prepare(request)
        for number in range(3):
            await reply.write(b"data: %d\n\n" % number)
            await asyncio.sleep(0)
        await reply.write_eof()


PLAIN = post(CHAT, b"first")
CHUNKED = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % CHAT.encode()
REQUESTS = {
    "plain": PLAIN,
    "plain, empty": post(CHAT, b""),
    "plain, another path": post("/v1/embeddings", b"x" * 50),
    "plain, closes": post(CHAT, b"last", "Connection: close"),
    "plain, streams": post(CHAT, b"", f"{DO}: /chunks"),
    "plain, keep-alive": post(CHAT, b"kept", "Connection: keep-alive"),
    "another method": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "another path": post("/", b"elsewhere"),
    "with a query": post(f"{CHAT}?a=b", b"query"),
    "in chunks": CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.0": PLAIN.replace(b"1.1", b"1.0"),
    "leading lines": b"\r\n\r\n" + PLAIN,
    # Attempts to smuggle: two readers of one request must not see different ends.
    "two lengths": post(CHAT, b"two", "Content-Length: 30"),
    "the same length twice": post(CHAT, b"two", "Content-Length: 3"),
    "a length and chunks": post(CHAT, b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "unknown chunks": post(CHAT, b"abc", "Transfer-Encoding: xchunked"),
    "a folded header": post(CHAT, b"abc", "X-A: 1\r\n Content-Length: 30"),
    "a bare line feed": post(CHAT, b"abc", "X-A: 1\nContent-Length: 30"),
    "a bare carriage return": post(CHAT, b"abc", "X-A: 1\rContent-Length: 30"),
    "a NUL": post(CHAT, b"abc", "X-A: \0"),
    "a blank before the colon": PLAIN.replace(b"Content-Length:", b"Content-Length :"),
    "a signed length": PLAIN.replace(b": 5", b": +5"),
    "a list of lengths": PLAIN.replace(b": 5", b": 5, 5"),
    "no host": PLAIN.replace(b"Host: localhost\r\n", b""),
    "two hosts": post(CHAT, b"abc", "Host: b"),
    "no HTTP": b"hello\r\n\r\n",
    "a long header": post(CHAT, b"abc", "X-A: " + "a" * 9000),
}
LAST = post(CHAT, b"end", "Connection: close")
_DATE = re.compile(rb"Date: [^\r]*\r\n")


def heads_in_order(written: bytes) -> list[bytes]:
    """The answers, with each head's lines in order of the alphabet and without the time."""
    parts = _DATE.sub(b"", written).split(b"\r\n\r\n")
    return [b"\r\n".join(sorted(part.split(b"\r\n"))) for part in parts]


async def answers(pieces: list[bytes], turns: list[int], *, fast: bool, soon: float) -> bytes:
    server = HttpServer(Echo(), Limits(soon=soon), fast=lambda: fast)
    with socket.socket() as known:
        wire = Wire(server, known)
        for number, piece in enumerate(pieces):
            wire.feed(piece)
            for _ in range(turns[number % len(turns)]):
                await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            await wire.closed.wait()
        await server.shutdown(0)
        assert not server.lanes
        assert server.held == 0
    return wire.written


@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(REQUESTS)), max_size=4),
    cuts=st.lists(st.integers(0, 1500), max_size=8),
    turns=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    soon=st.sampled_from([0.0, PATIENCE]),
)
def test_any_pieces_of_any_requests_have_the_same_answers(
    names: list[str], cuts: list[int], turns: list[int], soon: float
) -> None:
    """However it comes, and whenever the lane gives it up, aiohttp alone would say the same."""
    data = b"".join(REQUESTS[name] for name in names) + LAST
    ends = sorted({cut % len(data) for cut in cuts} | {len(data)})
    pieces = [data[a:b] for a, b in zip([0, *ends], ends, strict=False) if b > a]

    async def both() -> list[list[bytes]]:
        return [
            heads_in_order(await answers(pieces, turns, fast=fast, soon=soon))
            for fast in (False, True)
        ]

    alone, with_lane = asyncio.run(both())
    assert with_lane == alone


@pytest.mark.parametrize("name", REQUESTS)
async def test_each_request_alone_has_the_same_answer(name: str) -> None:
    for pieces in ([REQUESTS[name] + LAST], [bytes([byte]) for byte in REQUESTS[name] + LAST]):
        alone, with_lane = [
            heads_in_order(await answers(pieces, [0], fast=fast, soon=PATIENCE))
            for fast in (False, True)
        ]
        assert with_lane == alone
        assert alone[0]


# -- What the lane keeps, and what it hands over -----------------------------------------------


@pytest.fixture
async def at() -> AsyncIterator[Served]:
    async with served("lane") as at:
        yield at


async def answered(client: RawClient) -> bytes:
    assert (await client.head()).status == 200
    return await client.body()


async def test_plain_requests_stay_in_the_lane_one_after_the_other(at: Served) -> None:
    client = await at.client()
    for number in range(3):
        await client.send(post(CHAT, b"%d" % number))
        assert await answered(client) == b"%d" % number
    [lane] = at.connections
    assert isinstance(lane, Lane)
    assert lane.remote == "127.0.0.1"
    assert lane.transport is not None
    assert lane.transport.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_KEEPALIVE
    )


async def test_a_connection_is_handed_over_in_its_middle_for_good(at: Served) -> None:
    client = await at.client()
    for data in (post(CHAT, b"one"), post("/", b"two"), post(CHAT, b"three")):
        await client.send(data)
        assert await answered(client) == data.rpartition(b"\r\n")[2]
    [connection] = at.connections
    assert isinstance(connection, Connection)


async def test_head_and_body_may_come_in_two_packets(at: Served) -> None:
    client = await at.client()
    head, blank, body = post(CHAT, b"hello").partition(b"\r\n\r\n")
    await client.send(head + blank)
    while not at.connections or not at.connections[0]._parser.begun:  # type: ignore[union-attr]
        await asyncio.sleep(0.001)
    await client.send(body)
    assert await answered(client) == b"hello"
    assert isinstance(at.connections[0], Lane)


async def test_a_request_that_takes_its_time_is_handed_over() -> None:
    async with served("lane", Limits(soon=0.0)) as at:
        client = await at.client()
        data = post(CHAT, b"hello")
        await client.send(data[:-1])
        while not any(isinstance(each, Connection) for each in at.connections):
            await asyncio.sleep(0.001)
        await client.send(data[-1:])
        assert await answered(client) == b"hello"


async def test_pipelined_requests_are_answered_in_order(at: Served) -> None:
    client = await at.client("/slow")
    await at.frame.started.wait()
    for number in range(5):
        await client.send(post(CHAT, b"%d" % number))
    at.frame.go_on.set()
    assert await answered(client) == b"done"
    assert [await answered(client) for _ in range(5)] == [b"%d" % n for n in range(5)]


async def test_a_client_that_sends_on_and_on_is_not_read_for_ever(at: Served) -> None:
    """Beside the request under way little is kept; none of it is lost."""
    client = await at.client("/slow")
    await at.frame.started.wait()
    [lane] = at.connections
    assert isinstance(lane, Lane)
    bodies = [bytes([65 + number]) * LARGEST_BODY for number in range(12)]

    async def send() -> None:
        for body in bodies:
            await client.send(post(CHAT, body))

    sending = asyncio.ensure_future(send())
    while lane._size <= FOLLOWING:
        await asyncio.sleep(0.001)
    kept = lane._size
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert lane._size == kept < LARGEST_BODY
    at.frame.go_on.set()
    assert await answered(client) == b"done"
    for body in bodies:
        assert await answered(client) == body
    await sending


@pytest.mark.parametrize("part", [1.0, 0.5])
async def test_a_client_that_leaves_before_its_body_is_whole_is_told(part: float) -> None:
    async with served("lane", Limits(soon=PATIENCE)) as at:
        client = await at.client()
        head, blank, body = post(CHAT, b"hello").partition(b"\r\n\r\n")
        await client.send(head + blank + body[:2] if part == 1.0 else head)
        while not at.connections or not at.connections[0]._parser.begun:  # type: ignore[union-attr]
            await asyncio.sleep(0.001)
        client.leave()
        while at.connections:
            await asyncio.sleep(0.001)
        assert at.frame.seen == ([f"POST {CHAT} left"] if part == 1.0 else [])


async def test_a_client_that_closes_its_half_before_its_body_is_whole_has_left() -> None:
    async with served("lane", Limits(soon=PATIENCE)) as at:
        client = await at.client()
        await client.send(post(CHAT, b"hello")[:-1])
        client.writer.write_eof()
        assert await client.closed()
        assert at.frame.seen == [f"POST {CHAT} left"]


async def test_half_closed_with_a_part_of_a_second_request(at: Served) -> None:
    client = await at.client("/slow")
    await at.frame.started.wait()
    await client.send(post(CHAT, b"second")[:-1])
    client.writer.write_eof()
    assert (await client.head()).status == 100
    at.frame.go_on.set()
    assert (await client.head()).status == 200
    assert await client.body() == b"done"
    assert await client.closed()
    assert at.frame.seen == ["/slow answered", f"POST {CHAT} left"]


async def test_a_fault_of_the_frame_is_told_as_one(
    at: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_request: Request) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(at.frame, "answer", fail)
    client = await at.client("/")
    assert (await client.head()).status == 500
    assert b"internal_error" in await client.body()
    assert await client.closed()
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_bodies_that_are_not_whole_have_a_common_limit() -> None:
    """Beyond it aiohttp waits for them, which holds little of each."""
    async with served("lane", Limits(soon=PATIENCE)) as at:
        data = post(CHAT, bytes(LARGEST_BODY))
        clients = []
        while not at.server.connections:
            clients.append(await at.client())
            await clients[-1].send(data[:-1])
            while not at.server.connections and at.server.held < len(clients) * (len(data) - 1):
                await asyncio.sleep(0.001)
        assert at.server.held <= HELD
        assert len(clients) == HELD // len(data) + 1
        for client in clients:
            await client.send(data[-1:])
            assert await answered(client) == bytes(LARGEST_BODY)
        assert at.server.held == 0


# -- The end -----------------------------------------------------------------------------------


async def test_shutdown_waits_for_the_answer_and_closes_the_rest() -> None:
    async with served("lane", Limits(soon=PATIENCE)) as at:
        busy, idle, half = await at.client("/slow"), await at.client(), await at.client()
        await at.frame.started.wait()
        await half.send(post(CHAT, b"half")[:-1])
        while sum(lane._parser.begun for lane in at.server.lanes) < 1:
            await asyncio.sleep(0.001)
        at.server.pre_shutdown()
        ending = asyncio.ensure_future(at.server.shutdown(PATIENCE))
        assert await idle.closed()
        assert await half.closed()
        assert not ending.done()
        at.frame.go_on.set()
        assert await answered(busy) == b"done"
        assert await busy.closed()
        await ending
        assert sorted(at.frame.seen) == ["/slow answered", f"POST {CHAT} left"]


async def test_shutdown_cancels_what_takes_too_long(at: Served) -> None:
    client = await at.client("/slow")
    await at.frame.started.wait()
    at.server.pre_shutdown()
    await at.server.shutdown(0.02)
    assert at.frame.seen == ["/slow cancelled"]
    assert await client.closed()


async def test_a_client_that_does_not_read_holds_the_writer(at: Served) -> None:
    """And the writer is freed when the client reads, or leaves."""
    piece = bytes(512 * 1024)
    wrote = 0

    async def flood(request: Request) -> None:
        nonlocal wrote
        reply = request.reply()
        await reply.prepare(request)
        with suppress(ConnectionError):
            while True:
                await reply.write(piece)
                wrote += 1

    at.frame.answer = flood  # type: ignore[method-assign]
    client = await at.client("/")
    [lane] = at.server.lanes
    before, same = -1, 0
    while same < 50:  # the buffers of the system fill up first
        same = same + 1 if wrote == before and lane.blocked else 0
        before = wrote
        await asyncio.sleep(0.001)
    await client.head()
    while wrote < before + 5:
        await client.reader.readexactly(len(piece))
    client.leave()
    while lane._task is not None:
        await asyncio.sleep(0.001)


async def test_a_body_shorter_than_it_said_cuts_the_connection(at: Served) -> None:
    async def short(request: Request) -> None:
        reply = request.reply()
        reply.headers["Content-Length"] = "10"
        await reply.prepare(request)
        await reply.write(b"five!")
        await reply.write_eof()

    at.frame.answer = short  # type: ignore[method-assign]
    client = await at.client("/")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await (await client.head()).body()


@pytest.mark.parametrize("status", [204, 304])
async def test_a_response_without_body_has_none(at: Served, status: int) -> None:
    async def empty(request: Request) -> None:
        reply = request.reply(status)
        reply.headers["Content-Length"] = "3"
        await reply.prepare(request)
        await reply.write(b"abc")
        await reply.write_eof()

    at.frame.answer = empty  # type: ignore[method-assign]
    client = await at.client("/")
    for _ in range(2):
        assert (await client.head()).status == status
        assert "content-length" not in client.headers
        assert "transfer-encoding" not in client.headers
        await client.send(at.request("/"))


async def test_a_header_with_a_line_break_is_a_fault(
    at: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async def forge(request: Request) -> None:
        reply = request.reply(200, b"")
        reply.headers["X-A"] = "1\r\nX-B: 2"
        await reply.prepare(request)

    caplog.set_level(logging.ERROR)
    at.frame.answer = forge  # type: ignore[method-assign]
    client = await at.client("/")
    assert (await client.head()).status == 500
    assert "x-b" not in client.headers
    assert "line break" in caplog.text
