"""Answers are cut into clauses while they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.clauses import Clauses, speakable


def cut(text: str, size: int = 1) -> list[str]:
    clauses = Clauses()
    found: list[str] = []
    for at in range(0, len(text), size):
        found += clauses.feed(text[at : at + size])
    return [*found, clauses.rest()]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        # The first one ends at a comma, later ones with their sentence.
        (
            "Suffice it to say, it is late, too. It is dark, and cold. Good night",
            ["Suffice it to say, ", "it is late, too. ", "It is dark, and cold. ", "Good night"],
        ),
        ("Yes, of course. Really", ["Yes, of course. ", "Really"]),
        ("It costs 3.50 or so. Fine", ["It costs 3.50 or so. ", "Fine"]),
        ("I saw Dr. Miller there. Fine", ["I saw Dr. Miller there. ", "Fine"]),
        ("A first line\nthe second", ["A first line\n", "the second"]),
        ("今日は晴れです。明日も", ["今日は晴れです。", "明日も"]),
        ("... !!! ??? the end", ["... !!! ??? the end"]),
        # The first one has a few words at most.
        (
            "The weather of tomorrow is going to be as fine as that of the day before. It rains",
            [
                "The weather of tomorrow is ",
                "going to be as fine as that of the day before. ",
                "It rains",
            ],
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_clauses(text: str, pieces: list[str], size: int) -> None:
    assert [each for each in cut(text, size) if each] == pieces


def test_a_text_without_marks_is_cut_at_a_blank() -> None:
    pieces = cut("word " * 200)
    assert len(pieces[0]) == 30
    assert max(map(len, pieces)) <= 301
    assert all(piece.endswith(" ") for piece in pieces if piece)
    assert max(map(len, cut("x" * 1000))) == 300


@given(st.text(st.sampled_from("ab. ,!\n1。、")), st.integers(1, 7))
def test_nothing_is_lost_and_only_the_last_may_be_silent(text: str, size: int) -> None:
    pieces = cut(text, size)
    assert "".join(pieces) == text
    assert all(speakable(piece) for piece in pieces[:-1])


def test_markdown_is_not_spoken() -> None:
    assert speakable("**Very** `important`:\n- one\n# Two") == "Very important : one Two"
    assert speakable(" --- *** ") == ""
