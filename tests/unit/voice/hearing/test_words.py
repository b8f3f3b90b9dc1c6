"""voice/hearing/words.py: what was said, without remarks."""

from __future__ import annotations

import pytest

from voice.hearing.words import words_of


@pytest.mark.parametrize(
    ("transcript", "words"),
    [
        (" What is\n the time? ", "What is the time?"),
        ("[BLANK_AUDIO]", ""),
        ("(door closes) Hello. [ Silence ]", "Hello."),
        ("♪♪ *coughs*", ""),
        ("two * three * four", "two * three * four"),
        ("", ""),
    ],
)
def test_remarks_are_not_what_was_said(transcript: str, words: str) -> None:
    assert words_of(transcript) == words
