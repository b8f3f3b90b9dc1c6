"""Words that end in the middle of a sentence."""

from __future__ import annotations

import pytest

from voice.hearing.unfinished import is_unfinished


@pytest.mark.parametrize(
    "text",
    [
        "I would like to know,",
        "Milk, eggs and",
        "Milk, eggs and.",
        "It is, um...",
        "Well —",
        "Mach das Licht an und ",
        "Open the",
    ],
)
def test_what_must_go_on(text: str) -> None:
    assert is_unfinished(text)


@pytest.mark.parametrize(
    "text",
    ["", " ", "...?", "Yes", "Turn it on.", "What is it for?", "And or or?", "Band", "5 + 3 = 8!"],
)
def test_what_may_be_all(text: str) -> None:
    assert not is_unfinished(text)
