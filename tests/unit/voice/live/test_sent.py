"""voice/live/sent.py: what a client has missed."""

from __future__ import annotations

from voice.live.sent import Sent


def test_what_did_not_arrive_is_sent_again() -> None:
    sent = Sent()
    assert sent.after(0) == []
    for each in "abcd":
        sent.add(each)
    assert sent.after(1) == ["b", "c", "d"]
    assert sent.after(4) == []
    # A client that counts too many, or below nothing, is no reason to fail.
    assert sent.after(9) == []
    assert sent.after(-3) == ["a", "b", "c", "d"]


def test_the_oldest_are_forgotten_first() -> None:
    sent = Sent(most=5)
    for each in ("aaa", "bb", "cc"):
        sent.add(each)
    assert sent.count == 3
    assert sent.after(0) == ["bb", "cc"]
    sent.add("too long")
    assert sent.after(0) == []
