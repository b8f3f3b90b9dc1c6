"""engine/upstream_connection.py: an answer as it comes, read or pumped, and its connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import Parts, from_bytes
from raw_client import PATIENCE

from engine.upstream_connection import UpstreamConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Peer:
    """An engine's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> None:
        """Return when a request has come."""
        await self.reader.readuntil(b"\r\n\r\n")

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def left(self) -> None:
        """Return when the other end has closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


class Ends:
    """The two ends of a connection, and what became of the nearer one."""

    def __init__(self) -> None:
        self.peer: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()
        self.released: list[UpstreamConnection] = []
        self.lost = asyncio.Event()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer.set_result(Peer(reader, writer))


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[UpstreamConnection, Peer, Ends]]:
    """Yield a connection that has sent a request, and the engine that has it."""
    ends, loop = Ends(), asyncio.get_running_loop()
    server = await asyncio.start_server(ends.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, connection = await loop.create_connection(
        lambda: UpstreamConnection(loop, ends.released.append, lambda _: ends.lost.set()),
        "127.0.0.1",
        port,
    )
    peer = await ends.peer
    connection.send(REQUEST)
    await peer.request()
    try:
        yield connection, peer, ends
    finally:
        connection.abort()
        await ends.lost.wait()
        peer.writer.close()
        server.close()


async def test_a_small_body_is_read_whole_and_the_connection_is_kept() -> None:
    async with connected() as (connection, peer, ends):
        begun = asyncio.ensure_future(connection.begun())
        for at in range(len(WHOLE)):
            assert not begun.done()
            peer.write(WHOLE[at : at + 1])
            await peer.writer.drain()
            await asyncio.sleep(0)
        await begun
        assert connection.status == 200
        assert connection.headers["content-length"] == "3"
        assert connection.ended
        assert await connection.read() == b"abc"
        assert await connection.read() == b""
        connection.fail(ConnectionError("too late to fail"))
        connection.close()
        assert ends.released == [connection]
        assert connection.usable


async def test_a_stream_of_known_length_is_read_as_it_comes() -> None:
    async with connected() as (connection, peer, _):
        peer.write(WHOLE[:-1].replace(b"OK\r\n", b"OK\r\nContent-Type: text/event-stream\r\n"))
        await connection.begun()
        assert await connection.read() == b"ab"
        peer.write(b"c")
        assert await connection.read() == b"c"
        assert await connection.read() == b""


async def test_pieces_are_read_as_they_come() -> None:
    async with connected() as (connection, peer, ends):
        peer.write(CHUNKED)
        await connection.begun()
        for number in range(3):
            reading = asyncio.ensure_future(connection.read())
            peer.write(chunk(b"%d" % number))
            assert await reading == b"%d" % number
        # Together where they have come together.
        peer.write(chunk(b"a") + chunk(b"b") + b"0\r\n\r\n")
        assert await connection.read() == b"ab"
        assert await connection.read() == b""
        connection.close()
        assert ends.released == [connection]


@pytest.mark.parametrize("begin", [CHUNKED + chunk(b"a"), WHOLE[:-1], WHOLE[:20], b""])
async def test_an_answer_whose_end_is_not_read_closes_its_connection(begin: bytes) -> None:
    async with connected() as (connection, peer, ends):
        peer.write(begin)
        if begin.startswith(CHUNKED):
            await connection.begun()
            assert await connection.read() == b"a"
        connection.close()
        await peer.left()
        await ends.lost.wait()
        assert not ends.released
        assert not connection.usable


async def test_an_answer_that_asks_for_it_closes_its_connection() -> None:
    async with connected() as (connection, peer, ends):
        peer.write(WHOLE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
        await connection.begun()
        connection.close()
        await peer.left()
        assert not ends.released


async def test_an_answer_before_the_end_of_its_request_closes_its_connection() -> None:
    async with connected() as (connection, peer, ends):
        connection.send(b"x" * 50_000_000)
        peer.write(WHOLE)
        await connection.begun()
        assert await connection.read() == b"abc"
        connection.close()
        assert not ends.released


@pytest.mark.parametrize(
    ("sent", "read"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\nContent-Le", b""), (WHOLE[:-1], b"ab")],
)
async def test_an_engine_that_leaves_fails_who_waits_for_the_answer(
    sent: bytes, read: bytes
) -> None:
    async with connected() as (connection, peer, ends):
        begun = asyncio.ensure_future(connection.begun())
        peer.write(sent)
        peer.writer.close()
        with pytest.raises(ConnectionError, match="Server disconnected"):
            await begun
        if read:
            assert await connection.read() == read
        with pytest.raises(ConnectionError, match="Server disconnected"):
            await connection.read()
        connection.close()
        await ends.lost.wait()
        assert not ends.released


async def test_an_engine_that_breaks_off_fails_the_reader_after_what_came() -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED + chunk(b"a"))
        await connection.begun()
        reading = asyncio.ensure_future(connection.read())
        assert await reading == b"a"
        reading = asyncio.ensure_future(connection.read())
        peer.write(chunk(b"b") + b"zzz\r\n")
        assert await reading == b"b"
        with pytest.raises(ConnectionError, match="not valid HTTP"):
            await connection.read()
        await peer.left()


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with connected() as (connection, peer, ends):
        peer.write(b"HTTP/1.0 200 OK\r\n\r\nabc")
        await connection.begun()
        assert await connection.read() == b"abc"
        peer.writer.close()
        assert await connection.read() == b""
        connection.close()
        await ends.lost.wait()
        assert not ends.released


async def test_an_engine_that_speaks_unasked_is_left() -> None:
    async with connected() as (connection, peer, ends):
        peer.write(WHOLE)
        await connection.begun()
        connection.close()
        assert ends.released == [connection]
        connection.idle_since = 0.0
        peer.write(WHOLE)
        await peer.left()
        await ends.lost.wait()
        with pytest.raises(ConnectionError, match="Server disconnected"):
            connection.send(REQUEST)


async def test_who_reads_slowly_stops_the_engine() -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED)
        await connection.begun()
        size, piece = 64 * 1024 * 1024, chunk(b"x" * 1024 * 1024)
        peer.write(piece * 64 + b"0\r\n\r\n")
        draining = asyncio.ensure_future(peer.writer.drain())
        # The engine cannot write all of it before the reader begins.
        await until(lambda: connection._paused)
        assert not draining.done()
        read = 0
        while data := await connection.read():
            assert len(data) < size // 4
            read += len(data)
        assert read == size
        await draining


# -- pumped ----------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    """Return when ``condition`` holds; other tasks go on meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0)


class Taker:
    """Takes pieces, up to ``most`` of them at a time."""

    def __init__(self, most: int = 10**9) -> None:
        self.pieces: list[bytes] = []
        self.most = most

    def __call__(self, piece: bytes) -> bool:
        self.pieces.append(piece)
        return len(self.pieces) < self.most


async def pumping(
    connection: UpstreamConnection, take: Callable[[bytes], bool]
) -> asyncio.Task[bool]:
    """Return the task of a pump that has begun."""

    async def pump() -> bool:
        return await connection.pump(take)

    task = asyncio.get_running_loop().create_task(pump(), name="pump")
    await asyncio.sleep(0)
    return task


async def test_pieces_are_pumped_where_they_arrive() -> None:
    async with connected() as (connection, peer, ends):
        peer.write(CHUNKED + chunk(b"a"))
        await connection.begun()
        taker = Taker()
        pump = await pumping(connection, taker)
        assert taker.pieces == [b"a"]  # had come before
        peer.write(chunk(b"b") + chunk(b"c"))
        await until(lambda: len(taker.pieces) > 1)
        assert taker.pieces == [b"a", b"bc"]
        assert not pump.done()
        peer.write(chunk(b"d") + b"0\r\n\r\n")
        assert await pump
        assert taker.pieces == [b"a", b"bc", b"d"]
        connection.close()
        assert ends.released == [connection]


async def test_a_pump_of_what_has_ended_ends() -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED + chunk(b"a") + b"0\r\n\r\n")
        await connection.begun()
        taker = Taker()
        assert await connection.pump(taker)
        assert await connection.pump(taker)
        assert taker.pieces == [b"a"]


async def test_who_wants_no_more_stops_the_engine() -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED)
        await connection.begun()
        taker = Taker(1)
        pump = await pumping(connection, taker)
        peer.write(chunk(b"a"))
        assert not await pump
        assert taker.pieces == [b"a"]
        # Nothing is read while nobody pumps; then all of it comes, and in order.
        # More than the system keeps between the two.
        peer.write(chunk(b"x" * 20_000_000) + chunk(b"b"))
        draining: Awaitable[None] = asyncio.ensure_future(peer.writer.drain())
        taker.most = 10**9
        pump = await pumping(connection, taker)
        await draining
        peer.write(b"0\r\n\r\n")
        assert await pump
        assert b"".join(taker.pieces) == b"a" + b"x" * 20_000_000 + b"b"


async def test_a_pump_that_is_held_at_the_end_has_an_end() -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED)
        await connection.begun()
        taker = Taker(1)
        pump = await pumping(connection, taker)
        peer.write(chunk(b"a") + b"0\r\n\r\n")
        assert not await pump
        assert await connection.pump(taker)
        assert taker.pieces == [b"a"]


async def test_what_comes_after_a_cancelled_pump_is_read() -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED)
        await connection.begun()
        taker = Taker()
        pump = await pumping(connection, taker)
        peer.write(chunk(b"a"))
        await until(lambda: bool(taker.pieces))
        pump.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pump
        peer.write(chunk(b"b"))
        assert await connection.read() == b"b"
        peer.write(b"0\r\n\r\n")
        assert await connection.read() == b""
        assert taker.pieces == [b"a"]


@pytest.mark.parametrize("held", [False, True])
async def test_a_pump_fails_after_what_came(*, held: bool) -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED)
        await connection.begun()
        taker = Taker(1 if held else 9)
        pump = await pumping(connection, taker)
        peer.write(chunk(b"a"))
        peer.writer.close()
        if held:
            assert not await pump
            pump = await pumping(connection, taker)
        with pytest.raises(ConnectionError, match="Server disconnected"):
            await pump
        assert taker.pieces == [b"a"]


async def test_a_pump_can_be_broken_off() -> None:
    async with connected() as (connection, peer, _):
        peer.write(CHUNKED)
        await connection.begun()
        pump = await pumping(connection, Taker())
        connection.fail(ConnectionError("over"))
        with pytest.raises(ConnectionError, match="over"):
            await pump
        connection.close()
        await peer.left()


# -- every way at once -----------------------------------------------------------------------


class Wire:
    """A transport that delivers what it is told to, unless it is paused."""

    def __init__(self) -> None:
        self.paused = False
        self.closed = False

    def get_extra_info(self, _name: str) -> Wire:
        return self

    def setsockopt(self, *_option: int) -> None:
        pass

    def write(self, data: bytes) -> None:
        assert data == REQUEST

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def abort(self) -> None:
        self.closed = True


class Script:
    """An answer that comes in pieces, and a reader that reads, pumps and changes its mind."""

    def __init__(self, body: bytes, pieces: list[bytes], room: list[bool]) -> None:
        self.wire = Wire()
        self.released: list[UpstreamConnection] = []
        self.got: list[bytes] = []
        self._body = body
        self._pieces = pieces
        self._room = room
        self._task: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self.connection = UpstreamConnection(loop, self.released.append, lambda _: None)
        self.connection.connection_made(cast("asyncio.Transport", self.wire))
        self.connection.send(REQUEST)

    async def act(self, step: str) -> None:
        """Do the step, unless it cannot be done now, and let the tasks go on."""
        reads = self._task is not None and not self._task.done()
        if step == "deliver":
            if self._pieces and not self.wire.paused:
                self.connection.data_received(self._pieces.pop(0))
        elif step == "cancel":
            if self._task is not None:
                self._task.cancel()
        elif not reads:
            do = self._read if step == "read" else self._pump
            self._task = asyncio.get_running_loop().create_task(do(), name=step)
        await asyncio.sleep(0)

    async def end(self) -> None:
        """Deliver and read all that is left."""
        await self.act("cancel")
        for _ in range(10 + 3 * len(self._pieces)):
            await self.act("deliver")
            await self.act("read")
        await self.act("cancel")
        while piece := await self.connection.read():
            self.got.append(piece)
        assert b"".join(self.got) == self._body
        self.connection.close()

    async def _read(self) -> None:
        await self.connection.begun()
        self.got.append(await self.connection.read())

    async def _pump(self) -> None:
        await self.connection.begun()
        await self.connection.pump(self._take)

    def _take(self, piece: bytes) -> bool:
        assert piece
        self.got.append(piece)
        return self._room.pop() if self._room else True


def a_script(parts: Parts) -> tuple[list[int], list[int], list[str], list[bool]]:
    """Return the sizes of chunks and of pieces, what is done, and when a reader has no room."""
    sizes = [1 + parts.large(300_000) for _ in range(2 + parts.below(4))]
    cuts = [1 + parts.large(100_000) for _ in range(5 + parts.below(16))]
    steps = [
        parts.one_of(("deliver", "pump", "read", "cancel")) for _ in range(20 + parts.below(41))
    ]
    return sizes, cuts, steps, [bool(parts.below(2)) for _ in range(5 + parts.below(6))]


@given(from_bytes(a_script, 140), st.sampled_from(["length", "chunked"]))
def test_every_byte_comes_once_and_in_order_however_it_is_read(
    script: tuple[list[int], list[int], list[str], list[bool]], how: str
) -> None:
    sizes, cuts, steps, room = script
    chunks = [(b"%d " % size * size)[:size] for size in sizes]
    body = b"".join(chunks)
    if how == "length":
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        data = CHUNKED + b"".join(map(chunk, chunks)) + b"0\r\n\r\n"
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]

    async def play() -> None:
        played = Script(body, [piece for piece in (*pieces, rest) if piece], room)
        async with asyncio.timeout(PATIENCE):
            for step in steps:
                await played.act(step)
            await played.end()
        assert played.released == [played.connection]
        assert not played.wire.paused

    asyncio.run(play())
