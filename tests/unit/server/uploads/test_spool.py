"""server/uploads/spool.py: in memory while there is room, then on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.uploads.spool import Spool

if TYPE_CHECKING:
    from server.uploads.spool import Read

PIECE = bytes(range(256)) * 256  # 64 KiB


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def contents(spool: Spool, start: int, size: int) -> bytes:
    return b"".join([piece async for piece in spool.read(start, size)])


@pytest.mark.parametrize(
    ("pieces", "room", "on_disk"),
    [(1, True, False), (16, True, False), (17, True, True), (1, False, True), (40, False, True)],
)
async def test_what_was_appended_is_read(pieces: int, *, room: bool, on_disk: bool) -> None:
    before = open_files()
    spool = Spool(lambda _size: room)
    for _ in range(pieces):
        await spool.append(PIECE)
    await spool.flush()
    assert open_files() == before + on_disk
    assert await contents(spool, 0, spool.size) == PIECE * pieces
    assert await contents(spool, 100, 50) == (PIECE * pieces)[100:150]
    assert spool.digest == hashlib.blake2b(PIECE * pieces, digest_size=16).digest()
    spool.close()
    assert open_files() == before


async def test_it_asks_for_as_much_as_it_keeps() -> None:
    asked: list[int] = []

    def take(size: int) -> bool:
        asked.append(size)
        return len(asked) < 3

    spool = Spool(take)
    for _ in range(5):
        await spool.append(PIECE)
    await spool.flush()
    assert asked == [len(PIECE)] * 3
    assert await contents(spool, 0, spool.size) == PIECE * 5
    spool.close()


@pytest.mark.parametrize("pieces", [2, 20])
async def test_a_look_sees_its_part_and_nothing_else(pieces: int) -> None:
    spool = Spool(lambda _size: True)
    for _ in range(pieces):
        await spool.append(PIECE)
    await spool.flush()

    def ask(read: Read, size: int) -> list[bytes]:
        return [read(0, 3), read(size - 2, 9), read(size, 1), read(-1, 1), read(1 << 70, 1)]

    assert await spool.look(100, 50, ask) == [b"def", PIECE[148:150], b"", b"", b""]
    spool.close()
