"""utils/known_head.py: which messages have the head of another, and their bodies."""

from __future__ import annotations

import pytest

from utils.known_head import KnownHead

BEFORE, AFTER = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ", b"\r\nX-A: 1\r\n\r\n"


def message(length: bytes, body: bytes) -> bytes:
    return BEFORE + length + AFTER + body


def test_only_the_length_may_differ() -> None:
    head = KnownHead.of(message(b"3", b"abc"))
    assert head is not None
    for body in (b"abc", b"", b"\r\n\r\n", b"x" * 123_456):
        assert head.body_of(message(b"%d" % len(body), body)) == body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        message(b"3", b"ab"),
        message(b"3", b"abcd"),
        message(b"", b""),
        message(b"+3", b"abc"),
        message(b" 3", b"abc"),
        message("\u00b3".encode(), b"abc"),
        message(b"3, 3", b"abc"),
        message(b"00000003", b"abc"),
        message(b"3", b"abc").replace(b"X-A: 1", b"X-A: 2"),
        message(b"3", b"abc").replace(b"X-A: 1\r\n", b""),
        message(b"3", b"abc").replace(b"Host: x", b"Host: y"),
        message(b"3\r\nX-B: 2", b"abc"),
        message(b"3", b"abc")[:-8],
        BEFORE,
    ],
)
def test_another_head_or_a_part_is_not_known(data: bytes) -> None:
    head = KnownHead.of(message(b"3", b"abc"))
    assert head is not None
    assert head.body_of(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        message(b"3", b"ab"),
        message(b"3", b"abcd"),
        message(b"12345678", b"x" * 12345678),
        b"HTTP/1.1 100 Continue\r\n\r\n" + message(b"3", b"abc"),
        message(b"7", b"a\r\n\r\nbc").replace(b"\r\n\r\n", b"\n\n", 1),
        b"Content-Length: 3\r\n\r\nabc",
    ],
)
def test_a_head_that_does_not_show_the_length_of_its_message(data: bytes) -> None:
    assert KnownHead.of(data) is None
