"""Texts are cut where a speaker breathes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.piper.sentences import sentences, speaks


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        (" \n🙂 ... !", []),
        ("Hi there.", ["Hi there."]),
        ("Hi. It is 3.5 km away! Really?", ["Hi.", "It is 3.5 km away!", "Really?"]),
        (
            "Dr. Smith met J. R. Hart, i.e. him. Yes.",
            ["Dr. Smith met J. R. Hart, i.e. him.", "Yes."],
        ),
        ('She said "go." Then left.', ['She said "go."', "Then left."]),
        ("# Title\n\nText\nruns on\n- one\n- two", ["# Title", "Text\nruns on", "- one", "- two"]),
        ("你好。再见！", ["你好。", "再见！"]),  # noqa: RUF001 - another script
        (
            "Suffice it to say, the matter is not as simple as it looks at first.",
            ["Suffice it to say,", "the matter is not as simple as it looks at first."],
        ),
        (
            "One. Suffice it to say, the matter is not as simple as it looks at first.",
            ["One.", "Suffice it to say, the matter is not as simple as it looks at first."],
        ),
    ],
)
def test_pieces(text: str, pieces: list[str]) -> None:
    assert sentences(text) == pieces


def test_a_sentence_without_an_end_is_cut() -> None:
    pieces = sentences("word " * 300)
    assert len(pieces) > 3
    assert max(map(len, pieces)) <= 400
    assert " ".join(pieces).split() == ["word"] * 300
    assert max(map(len, sentences("x" * 1000))) <= 400


@given(st.text(alphabet="ab. ,!?\n\"'-1é", max_size=600))
def test_no_letter_is_lost_or_moved(text: str) -> None:
    pieces = sentences(text)
    assert all(speaks(piece) for piece in pieces)
    heard = [letter for piece in pieces for letter in piece if letter.isalnum()]
    assert heard == [letter for letter in text if letter.isalnum()]
