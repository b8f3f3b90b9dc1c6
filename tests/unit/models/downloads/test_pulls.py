"""models/downloads/pulls.py: downloads in the background."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from fake_hub import FakeHub, fake_hub, sha256

from models.downloads.account import HubAccount
from models.downloads.hub import Hub
from models.downloads.pulls import Pulls, PullState
from models.downloads.reference import wanted
from utils.errors import BadRequest, ConfigError, HubNotFound, ShuttingDown, UnknownPull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REPO, FILE = "org/model", "model-Q4_K_M.gguf"
BIG = random.Random(2).randbytes(3_000_000)
ASKED = wanted(REPO)


class World:
    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        self.finished = 0
        self.fault: ConfigError | None = None

    @asynccontextmanager
    async def pulls(self) -> AsyncIterator[Pulls]:
        async def finished() -> None:
            self.finished += 1
            if self.fault is not None:
                raise self.fault

        account = HubAccount(str(self.folder / "hub"), self.hub.url)
        pulls = Pulls(lambda: Hub(account), finished, self.folder / "state")
        try:
            yield pulls
        finally:
            await pulls.close()

    def parts(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "hub").rglob("*.incomplete"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with fake_hub() as hub:
        hub.put(REPO, FILE, BIG)
        yield World(hub, tmp_path)


async def ended(pulls: Pulls, pull: PullState) -> list[str]:
    return [each.state async for each in pulls.follow(pull, often=0.01)]


async def test_a_download_goes_on_in_the_background(world: World) -> None:
    async with world.pulls() as pulls:
        pull = pulls.start(ASKED)
        assert pulls.start(ASKED) is pull
        states = await ended(pulls, pull)
        assert states[0] == "waiting"
        assert states[-1] == "done"
        assert pull.paths[0].read_bytes() == BIG
        assert (pull.progress.percent, world.finished) == (100, 1)
        assert pulls.of(ASKED) is pull
        # A download that is done is not the one that is asked for later.
        assert pulls.start(ASKED) is not pull


async def test_a_download_is_paused_and_resumed(world: World) -> None:
    async with world.pulls() as pulls:
        world.hub.fault("hold", 2_000_000)
        pull = pulls.start(ASKED)
        await world.hub.holding.wait()
        assert (await pulls.pause(pull.id)).state == "paused"
        assert pull.why == "an operator paused it"
        assert world.parts() == [f"{sha256(BIG)}.incomplete"]
        # Once more changes nothing.
        await pulls.pause(pull.id)
        # To ask for it again is to resume it.
        assert pulls.start(ASKED) is pull
        await ended(pulls, pull)
        assert pull.state == "done"
        with pytest.raises(BadRequest, match="has ended: it is done"):
            await pulls.pause(pull.id)
        with pytest.raises(BadRequest):
            pulls.resume(pull.id)


async def test_a_download_that_has_not_begun_is_paused(world: World) -> None:
    async with world.pulls() as pulls:
        pull = pulls.start(ASKED)
        await pulls.pause(pull.id)
        assert (pull.state, pull.why) == ("paused", "an operator paused it")
        assert await ended(pulls, pull) == ["paused"]


@pytest.mark.parametrize("purge", [False, True])
async def test_a_download_is_ended(world: World, purge: bool) -> None:
    async with world.pulls() as pulls:
        world.hub.fault("hold", 2_000_000)
        pull = pulls.start(ASKED)
        await world.hub.holding.wait()
        await pulls.end(pull.id, purge=purge)
        assert bool(world.parts()) is not purge
        assert pulls.every() == []
        with pytest.raises(UnknownPull, match=pull.id):
            pulls.find(pull.id)


async def test_a_failure_is_told_and_may_be_tried_again(world: World) -> None:
    async with world.pulls() as pulls:
        pull = pulls.start(wanted(f"{REPO}:Q8_0"))
        assert (await ended(pulls, pull))[-1] == "failed"
        assert isinstance(pull.error, HubNotFound)
        world.hub.put(REPO, "model-Q8_0.gguf", b"GGUF other")
        pulls.resume(pull.id)
        assert (await ended(pulls, pull))[-1] == "done"
        assert pull.error is None


async def test_a_model_that_is_not_served_is_there_all_the_same(world: World) -> None:
    world.fault = ConfigError("no")
    async with world.pulls() as pulls:
        pull = pulls.start(ASKED)
        assert (await ended(pulls, pull))[-1] == "done"


async def test_what_is_not_finished_is_shown_by_the_next_gateway(world: World) -> None:
    async with world.pulls() as pulls:
        world.hub.fault("hold", 2_000_000)
        pull = pulls.start(ASKED)
        pulls.start(wanted(REPO, FILE))
        await world.hub.holding.wait()
        following = asyncio.create_task(ended(pulls, pull))
        await asyncio.sleep(0)
    # Those who followed it are told.
    assert (await following)[-1] == "paused"
    with pytest.raises(ShuttingDown):
        pulls.start(ASKED)
    async with world.pulls() as pulls:
        (again, _) = pulls.every()
        assert (again.id, again.wanted, again.state) == (pull.id, ASKED, "paused")
        assert again.why == "the gateway was stopped"
        pulls.resume(again.id)
        assert (await ended(pulls, again))[-1] == "done"
    async with world.pulls() as pulls:
        assert [each.wanted.file for each in pulls.every()] == [FILE]


@pytest.mark.parametrize("text", ["", "{}", '{"pulls": [{}]}', '{"pulls": [{"model": "x"}]}'])
async def test_a_file_that_makes_no_sense_is_ignored(
    world: World, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = world.folder / "state" / "pulls.json"
    file.parent.mkdir()
    file.write_text(text)
    async with world.pulls() as pulls:
        assert pulls.every() == []
    assert "ignored the unreadable file" in caplog.text
