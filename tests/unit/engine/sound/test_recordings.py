"""Where a recording begins in the pieces of a sound, however it is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.sound.recordings import Recordings

if TYPE_CHECKING:
    from collections.abc import Iterable

# As Chromium, libav and a live encoder write them, and what follows.
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7"
LIBAV = b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x1f\x42\x86"
OGG = b"OggS\0\2\0\0\0\0\0\0\0\0seripagecrc4\x01\x13OpusHead"
NEXT_PAGE = b"OggS\0\0\0\0\0\0\0\0\0\0"
TAGS = b"ID3\4\0\0\0\0\1\2" + b"t" * 130
FRAME = b"\xff\xfb\x90\x64"
MP4 = b"\0\0\0\x1cftypiso5"
SOUND = b"sound that goes on \0\0\0OggS\x1a\x45ID3"
HEADS = {"matroska": WEBM, "ogg": OGG, "mp3": TAGS + FRAME, "mov": MP4}


def told(pieces: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Return the container and the bytes of each recording."""
    recordings, found = Recordings(), [("", b"")]
    for part in (part for piece in pieces for part in recordings.feed(piece)):
        if part.begins:
            found.append((part.container, b""))
        found[-1] = (found[-1][0], found[-1][1] + part.data)
    for part in recordings.flush():
        assert not part.begins
        found[-1] = (found[-1][0], found[-1][1] + part.data)
    assert found[0] == ("", b"")
    return found[1:]


@given(
    st.lists(st.sampled_from(sorted(HEADS)), min_size=1, max_size=4), st.lists(st.integers(1, 40))
)
# The first piece with all of its head ends within the next head.
@example(["matroska", "matroska"], [3, 40])
def test_any_cutting_tells_the_same(kinds: list[str], cuts: list[int]) -> None:
    data = b"".join(HEADS[kind] + SOUND for kind in kinds)
    pieces = []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    expected = [(kind, HEADS[kind].removeprefix(TAGS) + SOUND) for kind in kinds]
    assert told([*pieces, data]) == expected


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_heads_of_several_makers(step: int) -> None:
    data = LIBAV + SOUND + OGG + NEXT_PAGE + SOUND + FRAME + LIBAV
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert told(pieces) == [
        ("matroska", LIBAV + SOUND),
        ("ogg", OGG + NEXT_PAGE + SOUND + FRAME),
        ("matroska", LIBAV),
    ]


def test_what_is_no_recording_is_told_until_one_begins() -> None:
    recordings = Recordings()
    assert recordings.feed(b"short") == []
    [part] = recordings.flush()
    assert (part.begins, part.container, part.data) == (True, "", b"short")
    assert [part.container for part in recordings.feed(b"x" * 12 + WEBM)] == ["", "matroska"]
    assert [part.begins for part in recordings.feed(b"y" * 12)] == [False]
    # It was at fault: what goes on with it is none.
    recordings.stop()
    assert [(part.begins, part.container) for part in recordings.feed(b"y" * 12)] == [(True, "")]
    assert [part.container for part in recordings.feed(FRAME * 3)] == ["mp3"]
