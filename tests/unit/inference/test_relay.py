"""inference/relay.py: pieces are put where they arrive, or written where that cannot be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from calls import Collected
from multidict import CIMultiDict

from engine.upstream import UpstreamResponse
from inference.call import Outlet
from inference.relay import relay
from inference.usage import Tally
from utils.errors import EngineBroke

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = [b"data: %d\n\n" % number for number in range(6)]


class Engine:
    """Answers with ``pieces``, one at a time; then fails, if it shall."""

    status = 200
    ended = False

    def __init__(self, pieces: list[bytes], error: Exception | None = None) -> None:
        self.headers = CIMultiDict({"Content-Type": "text/event-stream"})
        self.closed = False
        self._pieces = list(pieces)
        self._error = error

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if self._pieces:
            return self._pieces.pop(0)
        if self._error is not None:
            raise self._error
        return b""

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        while piece := await self.read():
            if not take(piece):
                return False
        return True

    def fail(self, error: Exception) -> None:
        self._error = error

    def close(self) -> None:
        self.closed = True


class Direct(Collected):
    """A sink into which pieces can be put; after each ``room`` of them it is full."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.put_pieces: list[bytes] = []
        self.drains = 0
        self.left = False
        self._room = room

    def outlet(self) -> Outlet:
        return Outlet(self.put, self.drained)

    def put(self, chunk: bytes) -> bool:
        self.put_pieces.append(chunk)
        return len(self.put_pieces) % self._room > 0

    async def drained(self) -> None:
        self.drains += 1
        if self.left:
            raise ConnectionResetError


async def answered(engine: Engine, sink: Collected) -> tuple[Tally, list[bytes]]:
    """Relay the engine's answer; return what was counted and heard."""
    heard: list[bytes] = []
    tally = Tally()
    upstream = UpstreamResponse(engine, lambda _: None, heard.append)
    async with upstream:
        await upstream.begin()
        await relay(upstream, sink, tally)
    return tally, heard


@pytest.mark.parametrize("room", [1, 2, 100])
async def test_all_pieces_are_put_and_counted(room: int) -> None:
    sink = Direct(room)
    tally, heard = await answered(Engine(EVENTS), sink)
    assert sink.put_pieces == EVENTS
    assert sink.drains == 6 // room
    assert (tally.chunks, tally.events) == (6, 6)
    assert heard == [*EVENTS, b""]


async def test_all_pieces_are_written_where_none_can_be_put() -> None:
    sink = Collected()
    tally, heard = await answered(Engine(EVENTS), sink)
    assert sink.body == b"".join(EVENTS)
    assert (tally.chunks, tally.events) == (6, 6)
    assert heard == [*EVENTS, b""]


async def test_an_engine_that_fails_breaks_the_answer_after_what_came() -> None:
    sink = Direct(100)
    engine = Engine(EVENTS, ConnectionResetError("gone"))
    with pytest.raises(EngineBroke, match="gone"):
        await answered(engine, sink)
    assert sink.put_pieces == EVENTS
    assert engine.closed


async def test_a_client_that_has_left_is_no_fault_of_the_engine() -> None:
    sink = Direct(2)
    sink.left = True
    engine = Engine(EVENTS)
    with pytest.raises(ConnectionResetError):
        await answered(engine, sink)
    assert sink.put_pieces == EVENTS[:2]
    assert engine.closed


@pytest.mark.parametrize("alive", [True, False])
async def test_a_body_of_unknown_length_is_whole_if_the_engine_is_alive(*, alive: bool) -> None:
    async def is_alive() -> bool:
        return alive

    sink = Direct(100)
    upstream = UpstreamResponse(Engine(EVENTS), lambda _: None, lambda _: None, is_alive)
    await upstream.begin()
    relaying = relay(upstream, sink, Tally())
    if alive:
        await relaying
    else:
        with pytest.raises(EngineBroke, match="in the middle"):
            await relaying
    assert sink.put_pieces == EVENTS
