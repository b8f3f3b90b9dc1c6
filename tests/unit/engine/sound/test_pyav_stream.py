"""Sound is decoded as it comes, whatever the pieces are."""

from __future__ import annotations

import io
from functools import cache

import pytest
from encoded import encoded
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import RATE, recorded, silence

from engine.sound.pyav_stream import Feed, decode
from engine.sound.wire import BEGIN, DATA, HEAD, MARK, SAMPLES, message

CONTAINERS = {"webm": "matroska", "ogg": "ogg", "mp3": "mp3"}
# Half a second.
SPEECH = recorded()[:RATE]


@cache
def file_of(kind: str) -> bytes:
    return b"".join(encoded(SPEECH, RATE, kind))


def decoded(*messages: bytes) -> list[tuple[bytes, int, bytes]]:
    """Return what the program tells of these messages."""
    target = io.BytesIO()
    feed = Feed(io.BytesIO(b"".join(messages)), target)
    while (container := feed.begin()) is not None:
        decode(container, feed)
    told, found, at = target.getvalue(), [], 0
    while at < len(told):
        letter, number, size = HEAD.unpack_from(told, at)
        at += HEAD.size
        found.append((letter, number, told[at : at + size]))
        at += size
    return found


def samples_of(kind: str, pieces: list[bytes]) -> bytes:
    begin = message(BEGIN, 1, CONTAINERS[kind].encode())
    told = decoded(begin, *(message(DATA, 1, piece) for piece in pieces if piece))
    assert {letter for letter, _, _ in told} == {SAMPLES}
    return b"".join(data for _, _, data in told)


@cache
def whole(kind: str) -> bytes:
    return samples_of(kind, [file_of(kind)])


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 8000), max_size=20), kind=st.sampled_from(sorted(CONTAINERS)))
def test_any_cutting_gives_the_same_samples(cuts: list[int], kind: str) -> None:
    file, at = file_of(kind), sorted(cuts)
    pieces = [file[one:other] for one, other in zip([0, *at], [*at, len(file)], strict=True)]
    assert samples_of(kind, pieces) == whole(kind)
    assert len(whole(kind)) == pytest.approx(len(SPEECH), rel=0.15)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_sound_is_told_once_its_packet_is_there(kind: str) -> None:
    pieces = encoded(SPEECH, RATE, kind)
    asked = [message(BEGIN, 7, CONTAINERS[kind].encode())]
    for number, piece in enumerate(pieces):
        asked += [message(DATA, 7, piece), message(MARK, number)]
    seconds, late = 0.0, 0.0
    for letter, number, data in decoded(*asked):
        if letter == SAMPLES:
            seconds += len(data) / RATE / 2
        else:
            assert letter == MARK
            # As much of the file as of the sound, but for the heads and a packet or a page.
            came = sum(map(len, pieces[: number + 1])) / sum(map(len, pieces))
            late = max(late, came * len(SPEECH) / RATE / 2 - seconds)
    assert late < 0.25


def test_recordings_that_follow_each_other_and_one_that_leaves_out_silence() -> None:
    webm, mp3 = file_of("webm"), file_of("mp3")
    told = decoded(
        message(BEGIN, 1, b"matroska"),
        message(DATA, 1, webm[: len(webm) // 2]),
        message(BEGIN, 2, b"mp3"),
        message(DATA, 2, mp3),
        message(MARK, 2),
    )
    assert [number for _, number, _ in told] == sorted(number for _, number, _ in told)
    assert {1, 2} == {number for letter, number, _ in told if letter == SAMPLES}
    # Without the clusters in the middle there is a gap in the time, which is silence.
    pieces = encoded(SPEECH + silence(1) + SPEECH, RATE)
    cluster = b"\x1f\x43\xb6\x75"
    parts = b"".join(pieces).split(cluster)
    left_out = cluster.join([*parts[:5], *parts[8:]])
    assert abs(len(samples_of("webm", [left_out])) / RATE / 2 - 2) < 0.1
