"""engine/warm.py: what an engine will read lies in memory before it starts."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest
from builders import variant

from engine import warm as warming
from engine.learnt import LoadTimes
from engine.warm import BLOCK, Warmer, cached_share, paths_of, warm

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import VariantSpec

PLENTY = 1 << 40


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The blocks that are in the cache, by their place: none at first; a read adds its own.

    A machine with memory to spare does not forget what a test has just written.
    """
    cached: set[int] = set()
    read = os.preadv

    def reading(descriptor: int, buffers: list[bytearray], at: int, flags: int = 0) -> int:
        if flags:
            if at // BLOCK not in cached:
                raise BlockingIOError
        else:
            cached.add(at // BLOCK)
        return read(descriptor, buffers, at)

    monkeypatch.setattr(os, "preadv", reading)
    return cached


def sized(folder: Path, blocks: int, name: str = "m.gguf") -> VariantSpec:
    with (folder / name).open("wb") as file:
        file.truncate(blocks * BLOCK - BLOCK // 2 - 7)
    return variant(args=("-m", str(folder / name)))


def test_what_is_cached_is_not_read(tmp_path: Path, cold: set[int]) -> None:
    paths = paths_of(sized(tmp_path, 4))
    cold |= {0, 2}
    assert cached_share(paths, 1) == (0.5, 4 * BLOCK - BLOCK // 2 - 7)
    read, size = warm(paths, PLENTY, threading.Event())
    assert size == 4 * BLOCK - BLOCK // 2 - 7
    assert read == size - 2 * BLOCK
    assert warm(paths, PLENTY, threading.Event())[0] == 0
    assert cached_share(paths, 1)[0] == 1.0


def test_what_a_real_disk_holds_is_read_once(tmp_path: Path) -> None:
    paths = paths_of(sized(tmp_path, 3))
    descriptor = os.open(paths[0], os.O_RDWR)
    os.fsync(descriptor)
    # Where the system forgets on demand; a file system in memory never does.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    cached, size = cached_share(paths, 1)
    assert cached in (0.0, 1.0)
    assert warm(paths, PLENTY, threading.Event())[0] == (0 if cached else size)
    assert warm(paths, PLENTY, threading.Event())[0] == 0


def test_only_as_far_as_memory_allows(tmp_path: Path, cold: set[int]) -> None:
    paths = paths_of(sized(tmp_path, 4))
    assert warm(paths, 2 * BLOCK + 5, threading.Event())[0] == 2 * BLOCK
    assert cold == {0, 1}
    assert warm(paths, -1, threading.Event())[0] == 0


def test_it_ends_when_it_is_told(tmp_path: Path, cold: set[int]) -> None:
    stop = threading.Event()
    stop.set()
    assert warm(paths_of(sized(tmp_path, 4)), PLENTY, stop)[0] == 0
    assert not cold


def test_files_that_are_not_there(tmp_path: Path, cold: set[int]) -> None:
    there = str(tmp_path / "m.gguf")
    sized(tmp_path, 1)
    assert warm([str(tmp_path / "no"), there], PLENTY, threading.Event())[0] > 0
    assert cold == {0}
    assert cached_share([str(tmp_path / "no")]) == (0.0, 0)


def test_all_shards_are_read(tmp_path: Path) -> None:
    for number in (1, 2):
        sized(tmp_path, 1, f"m-{number:05}-of-00002.gguf")
    first = str(tmp_path / "m-00001-of-00002.gguf")
    assert len(paths_of(variant(args=("-m", first, "--mmproj", "p.gguf")))) == 3


async def settled(warmer: Warmer) -> None:
    while len(warmer._tasks):
        await asyncio.sleep(0.001)


def warmer_of(**fields: bool) -> Warmer:
    return Warmer(LoadTimes(None, {}), spare=lambda: PLENTY, **fields)


async def test_who_is_next_is_read_and_measured(tmp_path: Path, cold: set[int]) -> None:
    warmer, spec = Warmer(LoadTimes(None, {})), sized(tmp_path, 4)
    warmer.want(spec)
    warmer.want(spec)
    await settled(warmer)
    assert cold == {0, 1, 2, 3}
    warmer.started(spec)
    warmer.ready(spec, 2.0)
    await settled(warmer)
    assert warmer.loads.seconds(spec) == warmer.loads.seconds(spec, warming.WARM) == 2.0
    assert warmer.loads.seconds(spec, warming.COLD) == 0.0


async def test_a_start_from_the_disk_is_measured_too(tmp_path: Path, cold: set[int]) -> None:
    warmer, spec = warmer_of(), sized(tmp_path, 4)
    warmer.started(spec)
    await settled(warmer)
    warmer.ready(spec, 9.0)
    assert warmer.loads.seconds(spec, warming.COLD) == 9.0
    cold |= {0, 1, 2, 3}
    warmer.started(spec)
    await settled(warmer)
    warmer.ready(spec, 1.0)
    assert warmer.loads.seconds(spec) == 1.0
    assert warmer.loads.seconds(spec, warming.COLD) == 9.0


@pytest.mark.parametrize(("warmed", "reads"), [(5.0, True), (9.5, False)])
async def test_off_where_it_does_not_help(
    tmp_path: Path, cold: set[int], warmed: float, reads: bool
) -> None:
    warmer, spec = warmer_of(), sized(tmp_path, 4)
    warmer.loads.learn(spec, 10.0, warming.COLD)
    warmer.loads.learn(spec, warmed, warming.WARM)
    warmer.want(spec)
    await settled(warmer)
    assert bool(cold) == reads


async def test_turned_off_it_only_remembers(tmp_path: Path, cold: set[int]) -> None:
    warmer, spec = warmer_of(enabled=False), sized(tmp_path, 4)
    warmer.want(spec)
    warmer.started(spec)
    warmer.ready(spec, 3.0)
    assert not len(warmer._tasks)
    assert not cold
    assert warmer.loads.seconds(spec) == 3.0


async def test_another_that_is_next_ends_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[threading.Event] = []

    def reading(_paths: list[str], _budget: int, stop: threading.Event) -> tuple[int, int]:
        stops.append(stop)
        stop.wait(10)
        return 0, 0

    monkeypatch.setattr(warming, "warm", reading)
    warmer, spec = warmer_of(), sized(tmp_path, 4)
    for following in (variant(8192), None):
        warmer.want(spec)
        while not stops:
            await asyncio.sleep(0.001)
        warmer.want(following)
        assert stops.pop(0).is_set()
        await warmer.close()
        stops.clear()


async def test_little_that_came_from_the_disk_says_nothing(tmp_path: Path, cold: set[int]) -> None:
    cold |= {0, 1, 2}
    warmer, spec = warmer_of(), sized(tmp_path, 4)
    warmer.want(spec)
    await settled(warmer)
    warmer.started(spec)
    await settled(warmer)
    warmer.ready(spec, 2.0)
    assert warmer.loads.seconds(spec) == 2.0
    assert warmer.loads.seconds(spec, warming.WARM) == warmer.loads.seconds(spec, warming.COLD) == 0
