"""Wake words: where they stand, and which request they leave."""

from __future__ import annotations

import pytest

from voice.wake import Mode, WakeWords


@pytest.mark.parametrize(
    ("mode", "text", "request_"),
    [
        ("pre", "Hey Jarvis, turn on the light.", "turn on the light"),
        ("pre", "Oh, hey, jarvis! What is new?", "What is new"),
        ("pre", "I told my friend: hey Jarvis, wait", None),
        ("pre", "Turn on the light", None),
        ("pre", "Hey Jarvis.", ""),
        ("pre", "They jarvis it", None),
        ("post", "Turn on the light, hey Jarvis.", "Turn on the light"),
        ("post", "Hey Jarvis, say hey Jarvis", "Hey Jarvis, say"),
        ("post", "Hey Jarvis", ""),
        ("mid", "Please, computer, be quiet", "Please be quiet"),
        ("mid", "Be quiet, computer, hey jarvis!", "Be quiet"),
        ("mid", "Computers are loud", None),
        ("mid", "", None),
    ],
)
def test_the_request_beside_a_wake_word(mode: Mode, text: str, request_: str | None) -> None:
    assert WakeWords(("hey jarvis", "Computer"), mode).request(text) == request_


def test_a_longer_phrase_counts_before_a_shorter_one_at_the_same_place() -> None:
    words = WakeWords(("ok", "ok google"), "pre")
    assert words.request("OK Google, stop") == "stop"


def test_a_phrase_that_was_heard_may_be_written_otherwise() -> None:
    jarvis = WakeWords(("hey jarvis",))
    for text in (
        "Hey Javis, turn it on.",
        "Hey, Jar vis! Turn it on",
        "So: hay Jarvis, turn it on",
    ):
        assert jarvis.request(text) is None
        assert str(jarvis.request(text, called=True)).lower() == "turn it on"
    # Far from the beginning it is meant all the same, and a text without it is the request.
    assert jarvis.request("Well, I think, hey Jarvis, stop", called=True) == "stop"
    assert jarvis.request("Stop.", called=True) == "Stop"
    assert jarvis._replace(mode="post").request("Stop it, hey Charvis.", called=True) == "Stop it"
    assert jarvis._replace(mode="mid").request("Stop, hey Charvis, it", called=True) == "Stop it"
