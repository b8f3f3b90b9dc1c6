"""When the speech so far is made a text, and when that is the text of the whole turn."""

from __future__ import annotations

from voice.hearing.partial import PAUSE, Partials


def test_somebody_who_speaks_on_is_understood_every_second() -> None:
    partials = Partials()
    partials.reset(0.0)
    assert not partials.is_due(10, 0.0, 0.9)
    assert partials.is_due(20, 0.0, 1.0)
    partials.begin(20, 1.0)
    # One at a time, and then the engine has twice as long for others.
    assert not partials.is_due(30, 0.0, 1.5)
    partials.ended(1.8, known=True)
    assert not partials.is_due(40, 0.0, 3.3)
    assert partials.is_due(40, 0.0, 3.5)


def test_a_text_that_is_begun_in_silence_is_that_of_the_turn() -> None:
    partials = Partials()
    partials.reset(0.0)
    assert not partials.is_due(5, PAUSE / 2, 0.3)
    assert partials.is_due(5, PAUSE, 0.4)
    partials.begin(5, 0.4)
    assert partials.covers(5)
    assert not partials.is_due(5, 0.3, 0.5)
    # The speech goes on: another is begun in the next silence, even if one is being made.
    assert not partials.covers(6)
    assert not partials.is_due(6, 0.0, 0.5)
    assert partials.is_due(9, PAUSE, 0.9)
    partials.begin(9, 0.9)
    partials.ended(1.0, known=True)
    assert partials.covers(9)
    partials.reset(1.1)
    assert not partials.covers(9)


def test_where_the_engine_is_not_free_it_is_tried_again() -> None:
    partials = Partials()
    partials.reset(0.0)
    partials.begin(5, 0.3)
    partials.ended(0.3, known=False)
    assert not partials.covers(5)
    assert not partials.is_due(5, PAUSE, 0.35)
    assert partials.is_due(5, PAUSE, 0.45)
