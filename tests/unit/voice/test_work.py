"""How long each step of a turn took."""

from __future__ import annotations

from voice.told import Complete, Timings, Usage
from voice.work import Work


def test_times_count_from_the_end_of_the_turn() -> None:
    work = Work(3, since=10.0, asked="hello")
    assert work.timings(10.5) == Timings(total=500)
    work.understood = 10.2
    work.wrote("One", 10.3)
    work.wrote(" two", 10.4)
    work.first_clause = 10.4
    work.first_audio = 10.5
    assert work.text == "One two"
    times = Timings(200, 300, 400, 500, 1000)
    usage = Usage(0, 2)
    expected = Complete(3, "hello", "One", interrupted=True, usage=usage, timings=times)
    assert work.interrupted("One", 11.0) == expected
