"""preload.py: what an engine will read lies in memory before it starts, where that helps."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from builders import TYPES, variant
from disk import evict
from raw_client import PATIENCE

from engine.resources.learnt_store import COLD, WARM, LoadTimes
from engine.resources.page_cache import BLOCK, cached_share
from engine.resources.preload import _RETRY, Preloader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from models.spec import VariantSpec

SIZE = 4 * BLOCK - BLOCK // 2 - 7
ALL = {0, 1, 2, 3}


def paths_of(spec: VariantSpec) -> list[str]:
    return TYPES.files(spec, {})


def sized(folder: Path, name: str = "m.gguf", context: int = 4096) -> VariantSpec:
    """A variant of a file of four blocks."""
    with (folder / name).open("wb") as file:
        file.truncate(SIZE)
    return variant(context, args=("-m", str(folder / name)))


def plenty() -> int:
    return 1 << 40


@contextlib.asynccontextmanager
async def warmer_of(loads: LoadTimes | None = None, **fields: bool) -> AsyncIterator[Preloader]:
    preloader = Preloader(loads or LoadTimes(None, {}, TYPES), spare=plenty, **fields)
    yield preloader
    await preloader.close()


async def settled(preloader: Preloader) -> None:
    while len(preloader._tasks):
        await asyncio.sleep(0.001)


async def load(preloader: Preloader, spec: VariantSpec, seconds: float, *, waits: bool) -> None:
    """Record that an engine was started, after a wait or at once, and is ready."""
    if waits:
        preloader.want(spec)
        await settled(preloader)
    preloader.started(spec)
    await settled(preloader)
    preloader.ready(spec, seconds)


def test_all_shards_are_read_in_their_order(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        sized(tmp_path, f"m-{number:05}-of-00003.gguf")
    shards = [str(tmp_path / f"m-{number:05}-of-00003.gguf") for number in (1, 2, 3)]
    assert paths_of(variant(args=("-m", shards[0], "--mmproj", "p.gguf"))) == [*shards, "p.gguf"]
    env = {"LLAMA_ARG_MODEL": shards[0]}
    assert paths_of(variant(args=("--mmproj", "p.gguf"), env=env)) == [*shards, "p.gguf"]
    assert paths_of(variant(args=("--model", "m.gguf"), env=env)) == ["m.gguf"]
    assert paths_of(variant(args=("-hf", "some/model"))) == []


async def test_shards_are_one_load(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        sized(tmp_path, f"m-{number:05}-of-00002.gguf")
    spec = variant(args=("-m", str(tmp_path / "m-00001-of-00002.gguf")))
    caplog.set_level("INFO")
    for path in paths_of(spec):
        evict(path)
    forgets = cached_share(paths_of(spec)) == 0.0
    async with warmer_of() as preloader:
        await load(preloader, spec, 2.0, waits=True)
        assert cached_share(paths_of(spec)) in ((1.0,) if forgets else (1.0, None))
        assert ("m@4096: 27 of 27 MiB preloaded" in caplog.text) == forgets
        assert preloader.loads.times(spec, WARM) == ([2.0] if forgets else [])


async def test_the_next_engine_is_read_and_measured(
    tmp_path: Path, cold: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        preloader.want(spec)
        preloader.want(spec)
        await settled(preloader)
        assert cold == ALL
        assert "m@4096: 13 of 13 MiB preloaded" in caplog.text
        await load(preloader, spec, 2.0, waits=True)
        assert preloader.loads.seconds(spec) == 2.0
        assert preloader.loads.times(spec, WARM) == [2.0]
        assert preloader.loads.times(spec, COLD) == []


async def test_a_start_from_the_disk_is_measured_too(tmp_path: Path, cold: set[int]) -> None:
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        await load(preloader, spec, 9.0, waits=False)
        assert preloader.loads.times(spec, COLD) == [9.0]
        cold |= ALL
        await load(preloader, spec, 1.0, waits=False)
        assert preloader.loads.seconds(spec) == 1.0
        assert preloader.loads.times(spec, COLD) == [9.0]


async def test_little_that_came_from_the_disk_says_nothing(tmp_path: Path, cold: set[int]) -> None:
    cold |= {0, 1}
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        await load(preloader, spec, 2.0, waits=True)
        cold -= {2, 3}
        await load(preloader, spec, 2.5, waits=False)
        assert preloader.loads.seconds(spec) == 2.5
        assert preloader.loads.times(spec, WARM) == preloader.loads.times(spec, COLD) == []


async def test_a_model_without_a_file_is_timed_alone(cold: set[int]) -> None:
    spec = variant(args=("-hf", "some/model"))
    async with warmer_of() as preloader:
        await load(preloader, spec, 2.0, waits=True)
        assert preloader.loads.times(spec) == [2.0]
        assert preloader.loads.times(spec, COLD) == preloader.loads.times(spec, WARM) == []
        assert not cold


async def test_what_was_read_in_several_goes_counts_together(
    tmp_path: Path, cold: set[int]
) -> None:
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        for missing in (0, 1):
            cold |= ALL
            cold.remove(missing)
            preloader.want(spec)
            await settled(preloader)
            preloader.want(None)
        await load(preloader, spec, 2.0, waits=False)
        assert preloader.loads.times(spec, WARM) == [2.0]


@pytest.mark.parametrize(
    "following", ["another", "nobody", "its own start", "its start after a reload", "the end"]
)
async def test_another_that_is_next_ends_the_reading(
    tmp_path: Path, cold: set[int], following: str
) -> None:
    """The current block is read to its end, and the next read or check waits for it."""
    asked, go_on = threading.Event(), threading.Event()
    spec, other = sized(tmp_path), sized(tmp_path, "other.gguf", 8192)

    def spare() -> int:
        asked.set()
        go_on.wait(PATIENCE)
        return plenty()

    preloader = Preloader(LoadTimes(None, {}, TYPES), spare=spare)
    preloader.want(spec)
    while not asked.is_set():
        await asyncio.sleep(0.001)
    match following:
        case "another":
            preloader.want(other)
        case "nobody":
            preloader.want(None)
        case "its own start":
            preloader.started(spec)
        case "its start after a reload":
            preloader.started(replace(spec))
            preloader.want(None)
        case _:
            await preloader.close()
    go_on.set()
    await settled(preloader)
    await asyncio.to_thread(preloader._thread.shutdown)
    # The block at hand of the first, and all of the other.
    assert cold == (ALL if following == "another" else {0})
    await preloader.close()


async def test_defined_anew_it_is_another(tmp_path: Path, cold: set[int]) -> None:
    """A reload gave the variant a smaller file while the first was read."""
    asked, go_on = threading.Event(), threading.Event()
    spec, small = sized(tmp_path), tmp_path / "small.gguf"
    small.write_bytes(bytes(10))

    def spare() -> int:
        asked.set()
        go_on.wait(PATIENCE)
        return plenty()

    preloader = Preloader(LoadTimes(None, {}, TYPES), spare=spare)
    preloader.want(spec)
    while not asked.is_set():
        await asyncio.sleep(0.001)
    preloader.want(replace(spec, args=("-m", str(small))))
    go_on.set()
    await settled(preloader)
    await preloader.close()
    assert cold == {0}


async def test_wanted_again_before_it_ended_it_goes_on(tmp_path: Path, cold: set[int]) -> None:
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        for _ in range(20):
            preloader.want(spec)
            preloader.want(None)
        preloader.want(spec)
        await settled(preloader)
        assert cold == ALL
        await load(preloader, spec, 2.0, waits=True)
        assert preloader.loads.times(spec, WARM) == [2.0]


@pytest.mark.usefixtures("cold")
async def test_a_start_that_failed_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        preloader.want(spec)
        await settled(preloader)
        preloader.started(spec)
        await settled(preloader)
        # It never became ready. The next start finds everything in memory.
        await load(preloader, spec, 1.0, waits=True)
        assert preloader.loads.times(spec, WARM) == preloader.loads.times(spec, COLD) == []


async def test_an_engine_that_was_ready_before_anybody_looked(
    tmp_path: Path, cold: set[int]
) -> None:
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        preloader.started(spec)
        preloader.ready(spec, 0.1)
        await settled(preloader)
        cold |= ALL
        await load(preloader, spec, 0.2, waits=False)
        assert preloader.loads.times(spec, COLD) == []
        assert preloader.loads.seconds(spec) == 0.2


async def test_after_the_end_nothing_is_read(tmp_path: Path, cold: set[int]) -> None:
    preloader, spec = Preloader(LoadTimes(None, {}, TYPES), spare=plenty), sized(tmp_path)
    await preloader.close()
    await load(preloader, spec, 1.0, waits=True)
    await preloader.close()
    assert not cold


async def test_turned_off_it_only_remembers(tmp_path: Path, cold: set[int]) -> None:
    spec = sized(tmp_path)
    async with warmer_of(enabled=False) as preloader:
        await load(preloader, spec, 3.0, waits=True)
        assert not cold
        assert preloader.loads.seconds(spec) == 3.0
        assert preloader.loads.times(spec, COLD) == []


# -- whether it helps --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cold_times", "warm_times", "reads"),
    [
        ([10, 10, 10], [5, 5, 5], True),
        ([10, 10, 10], [9.5, 9.5, 9.5], False),
        ([10, 10, 10], [12, 12, 12], False),
        # One that was out of the ordinary says nothing.
        ([10, 10, 10], [5, 60, 5], True),
        ([10, 1, 10], [5, 5, 5], True),
        # Nor do few.
        ([10, 10, 10], [60, 60], True),
        ([1, 1], [60, 60, 60], True),
        # Of many, the last count.
        ([10, 10, 10], [60, 60, 60, 5, 5, 5], True),
    ],
)
async def test_off_where_it_does_not_help(
    tmp_path: Path,
    cold: set[int],
    cold_times: list[float],
    warm_times: list[float],
    reads: bool,
) -> None:
    spec, loads = sized(tmp_path), LoadTimes(tmp_path / "state", {}, TYPES)
    for kind, times in ((COLD, cold_times), (WARM, warm_times)):
        for seconds in times:
            loads.learn(spec, seconds, kind)
    # As the next gateway finds it.
    async with warmer_of(LoadTimes(tmp_path / "state", {}, TYPES)) as preloader:
        preloader.want(spec)
        await settled(preloader)
        assert bool(cold) == reads


async def test_what_did_not_help_is_tried_again_and_may_help(
    tmp_path: Path, cold: set[int]
) -> None:
    spec = sized(tmp_path)
    async with warmer_of() as preloader:
        for _ in range(3):
            preloader.loads.learn(spec, 10.0, COLD)
            preloader.loads.learn(spec, 10.0, WARM)
        read = []
        for _ in range(4 * (_RETRY + 1)):
            cold.clear()
            preloader.want(spec)
            await settled(preloader)
            read.append(bool(cold))
            await load(preloader, spec, 5.0 if cold else 10.0, waits=False)
        rare = [False] * _RETRY + [True]
        assert read[: 3 * (_RETRY + 1)] == rare * 3
        assert read[3 * (_RETRY + 1) :] == [True] * (_RETRY + 1)
