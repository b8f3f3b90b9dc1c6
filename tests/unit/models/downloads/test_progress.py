"""models/downloads/progress.py: how far, how fast, how long."""

from __future__ import annotations

from models.downloads.progress import Progress


def test_the_rate_is_that_of_the_last_seconds() -> None:
    progress = Progress(total=1000)
    assert (progress.rate, progress.left, progress.percent) == (0.0, None, 0)
    progress.fetched(100.0, 0)
    progress.fetched(100.1, 50)
    assert progress.rate == 0.0  # too short to tell
    progress.fetched(102.0, 200)
    assert (progress.rate, progress.left, progress.percent) == (100.0, 8.0, 20)
    for second in range(103, 123):
        progress.fetched(second, 200 + 10 * (second - 102))
    assert progress.rate == 10.0
    assert progress.left == 60.0


def test_a_line_that_is_silent_has_no_rate() -> None:
    progress = Progress(total=1000)
    progress.waited(0.0)
    progress.fetched(1.0, 0)
    progress.fetched(2.0, 100)
    progress.waited(5.0)
    assert progress.rate == 25.0
    progress.waited(13.0)
    assert (progress.rate, progress.left, progress.done) == (0.0, None, 100)


def test_what_was_there_before_counts_for_the_part_but_not_for_the_rate() -> None:
    progress = Progress(total=1000)
    progress.there(900)
    assert (progress.percent, progress.rate) == (90, 0.0)
    progress.fetched(5.0, 910)
    progress.fetched(6.0, 920)
    assert progress.rate == 10.0


def test_a_clock_that_is_set_back_and_a_file_that_starts_over_give_no_negative_rate() -> None:
    progress = Progress(total=1000)
    for now, done in ((100.0, 100), (101.0, 200), (50.0, 300), (51.0, 400), (52.0, 0), (53.0, 10)):
        progress.fetched(now, done)
        assert progress.rate >= 0
        assert (progress.left or 0) >= 0
    assert progress.rate == 10.0


def test_only_the_end_is_a_hundred_percent() -> None:
    progress = Progress(total=1000)
    progress.there(999)
    assert progress.percent == 99
    assert Progress().percent == 0
