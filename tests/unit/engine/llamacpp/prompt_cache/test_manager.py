"""engine/llamacpp/prompt_cache/manager.py: when saved states are useless, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.llamacpp.prompt_cache.index import LEAST
from engine.llamacpp.prompt_cache.manager import PromptCacheManager, SavePolicy
from engine.llamacpp.prompt_cache.store import StateStore
from engine.resources.learnt_store import MISSES, PromptCacheMisses
from tests.unit.engine.llamacpp.prompt_cache.test_index import marks

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
    """Return whether states are useless after restores that spared so many tokens."""
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


def displaces(
    save_policy: SavePolicy,
    tokens: int,
    fresh: int | None = None,
    *,
    said: str = "a",
    returning: bool = True,
) -> bool:
    fresh = tokens if fresh is None else fresh
    return save_policy.displaces(marks(said), tokens, fresh, returning=returning)


def measured(saving: float, reading: float | None = None) -> SavePolicy:
    """After measurements of so many milliseconds a token."""
    save_policy = SavePolicy()
    save_policy.saved(1000, saving)
    if reading is not None:
        save_policy.read(1000, reading)
    return save_policy


def test_a_few_tokens_are_not_worth_it() -> None:
    assert displaces(SavePolicy(), LEAST)
    assert not displaces(SavePolicy(), LEAST - 1)
    assert not displaces(SavePolicy(), 10_000, 0)


def test_what_is_new_must_be_a_good_part_of_the_whole() -> None:
    assert displaces(SavePolicy(), 8000, 1000)
    assert not displaces(SavePolicy(), 8000, 999)


def test_a_conversation_that_grows_is_written_a_few_times_over_at_most() -> None:
    save_policy, kept, written = SavePolicy(), 0, 0
    for tokens in range(100, 50_000, 100):
        if displaces(save_policy, tokens, tokens - kept):
            kept = tokens
            written += tokens
    assert written <= 8 * 50_000
    assert kept >= 50_000 * 7 / 8


@pytest.mark.parametrize(
    ("saving", "reading", "saves"), [(0.1, 1.0, True), (0.11, 1.0, False), (5.0, 60.0, True)]
)
def test_saving_must_take_a_small_part_of_reading(
    saving: float, reading: float, *, saves: bool
) -> None:
    assert displaces(measured(saving, reading), 1000) is saves


def test_where_nothing_was_measured_it_is_tried() -> None:
    save_policy = SavePolicy()
    assert displaces(save_policy, 100_000)
    # Short ones tell little.
    save_policy.saved(100, 100.0)
    assert displaces(save_policy, 100_000)


def test_while_nobody_says_how_long_reading_takes_a_save_must_be_short() -> None:
    save_policy = measured(0.01)
    save_policy.read(100, 1000.0)
    assert displaces(save_policy, 20_000)
    assert not displaces(save_policy, 20_001)


def test_one_slow_save_among_many_changes_little() -> None:
    save_policy = measured(0.01, 1.0)
    save_policy.saved(1000, 0.3)
    assert displaces(save_policy, 1000)
    save_policy.saved(1000, 0.3)
    assert not displaces(save_policy, 1000)


def test_after_a_failure_nobody_waits_until_a_save_has_succeeded() -> None:
    save_policy = measured(0.01, 1.0)
    save_policy.failed()
    assert not displaces(save_policy, 1000)
    save_policy.saved(1000, 0.01)
    assert displaces(save_policy, 1000)
    unmeasured = SavePolicy()
    unmeasured.failed()
    assert not displaces(unmeasured, 1000)
    # It tells little of the time that one takes, but that they succeed again.
    unmeasured.saved(LEAST, 0.01)
    assert displaces(unmeasured, 1000)


def test_a_row_of_prompts_that_do_not_come_back_is_left_alone_soon() -> None:
    save_policy = SavePolicy()
    saves = [displaces(save_policy, 1000, said=str(n), returning=False) for n in range(9)]
    assert saves == [True] * 4 + [False] * 5
    # What has come back before is another matter.
    assert displaces(save_policy, 1000)


def test_what_was_saved_in_hope_and_comes_back_gives_hope() -> None:
    save_policy = SavePolicy()
    for said in "abcd":
        displaces(save_policy, 1000, said=said, returning=False)
    assert not save_policy.returns(marks("x"))
    assert save_policy.returns(marks("ay"))
    # It counts once.
    assert save_policy.returns(marks("ay"))
    saves = [displaces(save_policy, 1000, said=str(n), returning=False) for n in range(3)]
    assert saves == [True, True, False]
    # What was not saved and comes back gives a little.
    assert save_policy.returns(marks("2x"))
    saves = [displaces(save_policy, 1000, said=str(n), returning=False) for n in range(2)]
    assert saves == [True, False]


def test_a_conversation_that_always_comes_back_gives_no_hope_to_others() -> None:
    save_policy = SavePolicy()
    saves = []
    for number in range(6):
        displaces(save_policy, 1000, said="a", returning=True)
        assert save_policy.returns(marks("a"))
        saves.append(displaces(save_policy, 1000, said=str(number), returning=False))
    assert saves == [True] * 4 + [False] * 2


def test_hope_has_an_end() -> None:
    save_policy = SavePolicy()
    for said in "abcd":
        displaces(save_policy, 1000, said=said, returning=False)
        assert save_policy.returns(marks(said))
    saves = [displaces(save_policy, 1000, said=str(n), returning=False) for n in range(5)]
    assert saves == [True] * 4 + [False]


def test_only_the_latest_are_known() -> None:
    save_policy = SavePolicy()
    for number in range(65):
        displaces(save_policy, 10, said=chr(1000 + number), returning=False)
    assert not save_policy.returns(marks(chr(1000)))
    assert save_policy.returns(marks(chr(1001)))


def test_a_prompt_without_marks_is_not_known_again() -> None:
    save_policy = SavePolicy()
    assert save_policy.displaces((), 1000, 1000, returning=False)
    assert not save_policy.returns(())
