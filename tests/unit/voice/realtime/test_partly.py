"""What is told of speech that goes on, to clients that cannot take back a word."""

from __future__ import annotations

from voice.realtime.partly import AgreedText


def test_words_are_told_once_two_texts_agree_about_them() -> None:
    text = AgreedText()
    assert text.more(1, "What is the") == ""
    assert text.more(1, "What is the weath") == "What is "
    assert text.more(1, "What is the weather like") == "the "
    assert text.rest(1, "What is the weather like today?") == "weather like today?"


def test_what_was_told_is_not_told_again() -> None:
    text = AgreedText()
    text.more(1, "turn on the light")
    assert text.more(1, "turn on the light") == "turn on the "
    # The engine has thought better of it: the whole text says so.
    assert text.more(1, "Turn on the light please") == ""
    assert text.rest(1, "Turn on the light, please.") == ""
    assert text.rest(2, "and now") == "and now"
    assert text.more(3, "another turn") == ""
