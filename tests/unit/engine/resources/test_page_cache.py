"""engine/resources/page_cache.py: what of a file lies in memory, and how it gets there."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import psutil
import pytest
from disk import evict
from raw_client import PATIENCE

from engine.resources import page_cache as pagecache
from engine.resources.page_cache import BLOCK, RESERVE, Reading, cached_share, size_of, spare_memory

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 4 * BLOCK - BLOCK // 2 - 7


def plenty() -> int:
    return 1 << 40


def read(*paths: str, spare: int = 1 << 40) -> int:
    reading = Reading()
    reading.run(paths, lambda: spare)
    return reading.done


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Four blocks, of which the last is less than half a one."""
    path = tmp_path / "m.gguf"
    with path.open("wb") as opened:
        opened.truncate(SIZE)
    return str(path)


def test_what_is_cached_is_not_read(file: str, cold: set[int]) -> None:
    cold |= {0, 2}
    assert cached_share([file]) == 0.5
    assert read(file) == SIZE - 2 * BLOCK
    assert read(file) == 0
    assert cached_share([file]) == 1.0


def test_what_a_real_disk_holds_is_read_once(file: str) -> None:
    evict(file)
    cached = cached_share([file])
    # A file system in memory never forgets, and may not tell.
    assert cached in (0.0, 1.0, None)
    assert read(file) == (0 if cached != 0.0 else SIZE)
    assert read(file) == 0
    assert cached_share([file]) in (1.0, None)


def test_it_is_looked_at_here_and_there_only(
    tmp_path: Path, cold: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []
    for name in "ab":
        paths.append(str(tmp_path / name))
        with (tmp_path / name).open("wb") as opened:
            opened.truncate(100 * BLOCK)
    looks = 0
    seen = pagecache.is_cached

    def counted(descriptor: int, at: int) -> bool | None:
        nonlocal looks
        looks += 1
        return seen(descriptor, at)

    monkeypatch.setattr(pagecache, "is_cached", counted)
    cold |= set(range(50))
    assert cached_share(paths) == pytest.approx(0.5, abs=0.05)
    assert 30 < looks < 50


def test_to_look_twice_is_no_reason_to_find_it_cached(file: str) -> None:
    evict(file)
    before = cached_share([file])
    # Each look at a disk may bring in a page of the thousand that a block has.
    assert [cached_share([file]) for _ in range(3)].count(before) >= 2


def test_only_as_far_as_memory_allows(file: str, cold: set[int]) -> None:
    assert read(file, spare=2 * BLOCK + 5) == 2 * BLOCK
    assert cold == {0, 1}
    assert read(file, spare=-1) == 0
    # What is cached already has its place among what there is.
    assert read(file, spare=2 * BLOCK) == 0


def test_memory_is_looked_at_again_for_each_block(file: str, cold: set[int]) -> None:
    left = [plenty(), plenty(), 0]
    reading = Reading()
    reading.run([file], lambda: left.pop(0))
    assert cold == {0, 1}


def test_it_ends_when_it_is_told(file: str, cold: set[int]) -> None:
    reading = Reading()

    def spare() -> int:
        reading.stopped = len(cold) == 2
        return plenty()

    reading.run([file, file], spare)
    assert cold == {0, 1, 2}
    reading.run([file], plenty)
    assert cold == {0, 1, 2}
    reading.stopped = False
    reading.run([file], plenty)
    assert (cold, reading.done) == ({0, 1, 2, 3}, SIZE)


def test_a_thread_may_be_told_from_outside(file: str) -> None:
    """The current block is read to its end, and no other."""
    reading, asked, go_on = Reading(), threading.Event(), threading.Event()

    def spare() -> int:
        asked.set()
        go_on.wait(PATIENCE)
        return plenty()

    thread = threading.Thread(target=reading.run, args=([file] * 1000, spare))
    thread.start()
    assert asked.wait(PATIENCE)
    reading.stopped = True
    go_on.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_what_is_no_file_is_passed_over(tmp_path: Path, file: str, cold: set[int]) -> None:
    os.mkfifo(tmp_path / "fifo")
    others = [str(tmp_path / name) for name in ("no", "fifo", ".", "nul\0")]
    assert [size_of(path) for path in others] == [0, 0, 0, 0]
    assert read(*others, file) == SIZE
    assert cached_share(others) is None
    assert cached_share([*others, file]) == 1.0
    assert cold == {0, 1, 2, 3}


def test_a_disk_that_fails_is_passed_over(
    tmp_path: Path, file: str, cold: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad"
    bad.write_bytes(b"x")
    sound = os.preadv

    def failing(descriptor: int, buffers: list[bytearray], at: int, flags: int = 0) -> int:
        if not flags and os.fstat(descriptor).st_size == 1:
            raise OSError(errno.EIO, "input/output error")
        return sound(descriptor, buffers, at, flags)

    monkeypatch.setattr(os, "preadv", failing)
    assert read(str(bad), file) == SIZE
    assert cold == {0, 1, 2, 3}


def test_where_nobody_tells_all_is_read_and_nothing_is_known(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = []
    sound = os.preadv

    def silent(descriptor: int, buffers: list[bytearray], at: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        blocks.append(at // BLOCK)
        return sound(descriptor, buffers, at, flags)

    monkeypatch.setattr(os, "preadv", silent)
    assert cached_share([file]) is None
    assert read(file) == 0
    assert blocks == [0, 1, 2, 3]


def test_what_engines_have_mapped_is_not_spare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 64 kB\nMemAvailable:  9000000 kB\nMapped:     4000000 kB\nX: 1\n")
    monkeypatch.setattr(pagecache, "_MEMORY", told)
    assert spare_memory() == (5_000_000 << 10) - RESERVE
    told.unlink()
    assert spare_memory() < 0


def test_the_machine_has_no_more_to_spare_than_there_is() -> None:
    assert spare_memory() < psutil.virtual_memory().total - RESERVE
