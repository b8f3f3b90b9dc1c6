"""utils/sse.py: read events from bytes, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.sse import Event, EventBuffer, events_of

STREAM = b': ping\n\ndata: {"a":1}\n\ndata: [1]\n\ndata: {\n\ndata: [DONE]\n\n'


def test_events_keep_their_bytes() -> None:
    events = list(events_of(STREAM + b"data: {"))
    assert b"".join(event.raw for event in events) == STREAM + b"data: {"
    assert [event.json() for event in events] == [None, {"a": 1}, None, None, None, None]
    assert Event.of({"a": 1}).raw == b'data: {"a":1}\n\n'


def test_events_may_have_names() -> None:
    named = b'event: a\ndata: {"type":"a"}\n\n'
    assert Event(named).json() == {"type": "a"}
    assert Event.of({"type": "a"}, named=True).raw == named
    assert Event(b"event: a\n\n").json() is None
    assert Event(b"event: a").json() is None


def test_whole_events_are_passed_as_they_are() -> None:
    buffer = EventBuffer()
    assert buffer.feed(STREAM) is STREAM
    assert buffer.feed(b"data: {}") == b""
    assert buffer.feed(b"\n") == b""
    assert buffer.feed(b"\ndata") == b"data: {}\n\n"
    assert buffer.take_rest() == b"data"
    assert buffer.take_rest() == b""


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, 2 * len(STREAM))))
def test_each_event_comes_when_its_blank_line_has(line_end: bytes, cuts: list[int]) -> None:
    stream = STREAM.replace(b"\n", line_end)
    buffer, passed = EventBuffer(), b""
    places = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    for start, end in pairwise(places):
        passed += buffer.feed(stream[start:end])
        complete = stream[:end].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert passed == complete[: complete.rfind(b"\n\n") + 2 if b"\n\n" in complete else 0]
    assert passed == STREAM
    assert buffer.take_rest() == b""


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_no_byte_is_looked_at_for_each_piece_that_follows(line_end: bytes) -> None:
    """64 MiB without an event would take hours otherwise."""
    buffer, piece = EventBuffer(), b"data: " + b"x" * (1 << 20)
    for _ in range(64):
        assert buffer.feed(piece) == b""
    for _ in range(20_000):
        buffer.feed(b"x")
    assert buffer.feed(line_end * 2).endswith(b"x\n\n")


@given(st.lists(st.integers(0, len(STREAM))))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    buffer, passed = EventBuffer(), b""
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(places):
        passed += buffer.feed(STREAM[start:end])
        assert passed == b"" or passed.endswith(b"\n\n")
    assert passed == STREAM
