"""engine/scheduling/backoff.py: when a failed engine may be tried again."""

from __future__ import annotations

import pytest

from engine.scheduling.backoff import GIVE_UP_AFTER, LONGEST_DELAY, delay_after, gives_up


@pytest.mark.parametrize(
    ("failures", "delay"),
    [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 60), (6, 60), (10**9, 60)],
)
def test_the_delay_after_so_many_failures(failures: int, delay: float) -> None:
    assert delay_after(failures) == delay


def test_the_delay_never_shrinks_and_never_becomes_a_dead_end() -> None:
    delays = [delay_after(failures) for failures in range(50)]
    assert delays == sorted(delays)
    assert max(delays) == LONGEST_DELAY


def test_it_gives_up_with_the_fifth() -> None:
    assert [gives_up(failures) for failures in range(3, 8)] == [False, False, True, True, True]
    assert GIVE_UP_AFTER == 5
