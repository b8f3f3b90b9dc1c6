"""engine/llamacpp/prompt_cache/manager.py: for whom states are of no use, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.llamacpp.prompt_cache.manager import PromptCacheManager
from engine.llamacpp.prompt_cache.store import StateStore
from engine.resources.learnt_store import MISSES, PromptCacheMisses

if TYPE_CHECKING:
    from pathlib import Path

DAY = 24 * 60 * 60.0
KIND = "abc"


class Wall:
    """The time of day."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


def manager(folder: Path, wall: Wall) -> PromptCacheManager:
    return PromptCacheManager(
        StateStore(folder / "slots", 1), 1.0, misses=PromptCacheMisses(folder), now=wall
    )


def missed(manager: PromptCacheManager, *cached: int, expected: int = 1000) -> bool:
    """Whether states are of no use after restores that spared so many tokens."""
    for each in cached:
        manager.helped(KIND, expected, each, "m@512")
    return manager.useless(KIND)


@pytest.mark.parametrize(
    ("cached", "useless"),
    [
        ((0,), False),
        ((0, 0), True),
        ((0, 0, 0), True),
        ((0, 100, 0), False),
        ((0, 0, 100), False),
        # The date in a template has changed: that is no fault of the states.
        ((20, 20, 20), False),
        ((0, 20, 0), True),
    ],
)
def test_two_restores_in_a_row_that_spare_nothing_are_enough(
    tmp_path: Path, wall: Wall, cached: tuple[int, ...], *, useless: bool
) -> None:
    assert missed(manager(tmp_path, wall), *cached) is useless


def test_others_are_not_concerned(tmp_path: Path, wall: Wall) -> None:
    carried = manager(tmp_path, wall)
    assert missed(carried, 0, 0)
    assert not carried.useless("other")


def test_after_a_day_it_is_tried_once_more(tmp_path: Path, wall: Wall) -> None:
    carried = manager(tmp_path, wall)
    assert missed(carried, 0, 0)
    wall.now += DAY - 1
    assert carried.useless(KIND)
    wall.now += 1
    assert not carried.useless(KIND)
    assert missed(carried, 0)
    wall.now += DAY
    assert not missed(carried, 500)
    assert not missed(carried, 0)


def test_it_is_known_after_a_restart(tmp_path: Path, wall: Wall) -> None:
    assert missed(manager(tmp_path, wall), 0, 0)
    again = manager(tmp_path, wall)
    assert again.useless(KIND)
    assert not missed(again, 900)
    assert not manager(tmp_path, wall).useless(KIND)


def test_what_helps_all_the_time_is_not_worth_a_file(tmp_path: Path, wall: Wall) -> None:
    assert not missed(manager(tmp_path, wall), 900, 900)
    assert not (tmp_path / MISSES).exists()


def test_it_is_said_once(tmp_path: Path, wall: Wall, caplog: pytest.LogCaptureFixture) -> None:
    missed(manager(tmp_path, wall), 0, 0)
    assert caplog.text.count("m@512 cannot use saved states") == 1
