"""What a listener has heard, and how far speech is sent ahead."""

from __future__ import annotations

import pytest

from voice.playout import Playout, whole_words


def test_pieces_play_one_after_the_other() -> None:
    playout = Playout(lead=1.0)
    assert (playout.wait(0), playout.playing(0), playout.heard(9), playout.text) == (
        0,
        False,
        "",
        "",
    )
    playout.send("one two three four ", 2.0, now=10.0)
    playout.send("five", 2.0, now=10.5)
    assert playout.end == 14.0
    assert playout.wait(11.0) == 2.0
    assert playout.wait(13.5) == 0.0
    assert playout.heard(10.0) == ""
    assert playout.heard(11.0) == "one two"
    assert playout.heard(12.0) == "one two three four "
    assert playout.heard(13.9) == "one two three four "
    assert playout.heard(14.0) == playout.text == "one two three four five"
    assert playout.playing(13.9)
    assert not playout.playing(14.0)
    # After a pause, a piece plays when it comes.
    playout.send("six", 1.0, now=20.0)
    assert playout.end == 21.0


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, ""), (0.3, ""), (0.6, "hello"), (0.99, "hello"), (1.0, "hello you")]
)
def test_only_whole_words_count(share: float, words: str) -> None:
    assert whole_words("hello you", share) == words
