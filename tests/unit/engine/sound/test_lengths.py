"""engine/sound/lengths.py: how long a sound is, by what its file says."""

from __future__ import annotations

import functools
import math
import struct
import tempfile
from typing import TYPE_CHECKING, Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sound.lengths import seconds_of
from engine.sound.wav import wav_head

if TYPE_CHECKING:
    from engine.sound.lengths import Read

RATE = 48000
SECONDS = 2.5
# The container, its encoder, and what is told the writer.
KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "mp3": ("mp3", "libmp3lame", {}),
    "opus": ("ogg", "libopus", {}),
    "webm": ("webm", "libopus", {}),
    "m4a": ("ipod", "aac", {}),
    "m4a, its head first": ("ipod", "aac", {"movflags": "faststart"}),
    "flac": ("flac", "flac", {}),
    "wav": ("wav", "pcm_s16le", {}),
}
# These tell nothing: a stream of a browser, pieces of a film, frames one after another.
SILENT: dict[str, tuple[str, str, dict[str, str]]] = {
    "live webm": ("webm", "libopus", {"live": "1"}),
    "pieces": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "aac": ("adts", "aac", {}),
    "mp3 without a count": ("mp3", "libmp3lame", {"write_xing": "0"}),
}


@functools.cache
def encoded(kind: str) -> bytes:
    container, codec, options = (KINDS | SILENT)[kind]
    # One writer reads the file again, by its name.
    with (
        tempfile.NamedTemporaryFile() as target,
        av.open(target.name, "w", format=container, options=options) as out,
    ):
        stream: Any = out.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=int(RATE * SECONDS))
        frame.sample_rate, frame.pts = RATE, 0
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        for made in resampler.resample(frame):
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
        out.close()
        return target.read()


def reading(file: bytes) -> Read:
    return lambda at, count: file[at : at + count] if at < len(file) else b""


def told(file: bytes) -> float | None:
    return seconds_of(reading(file), len(file))


def flac(rate: int, samples: int, kind: int = 0) -> bytes:
    numbers = rate << 44 | 1 << 41 | 15 << 36 | samples
    described = bytes(10) + numbers.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + bytes([0x80 | kind]) + len(described).to_bytes(3, "big") + described


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_encoders(kind: str) -> None:
    assert told(encoded(kind)) == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("kind", SILENT)
def test_files_that_tell_nothing(kind: str) -> None:
    assert told(encoded(kind)) is None


@pytest.mark.parametrize(
    ("head", "seconds"),
    [
        (flac(44100, 66150), 1.5),
        (flac(655350, (1 << 36) - 1), ((1 << 36) - 1) / 655350),
        # Written as a stream, damaged, cut short.
        (flac(44100, 0), None),
        (flac(0, 5), None),
        (flac(44100, 66150, kind=4), None),
        (flac(44100, 66150)[:25], None),
        (b"fLaC", None),
        (wav_head(16000, 32000) + bytes(32000), 1.0),
        (b"ID3", None),
        (b"", None),
    ],
)
def test_what_the_first_bytes_tell(head: bytes, seconds: float | None) -> None:
    assert told(head) == seconds


def test_a_count_of_frames_that_the_size_belies_is_not_believed() -> None:
    tags = b"ID3\x04\0\0" + bytes([0, 0, 0x7F, 0x7F])
    file = tags + bytes((127 << 7) + 127) + encoded("mp3")[45:]
    assert encoded("mp3")[45] == 0xFF
    assert told(file) == pytest.approx(SECONDS, abs=0.1)
    assert told(file + bytes(100_000)) is None


def test_vorbis_and_a_stream_of_others_beside_it() -> None:
    def page(time: int, content: bytes, serial: int = 7) -> bytes:
        head = struct.pack("<4sBBqIII", b"OggS", 0, 0, time, serial, 0, 0)
        return head + bytes([1, len(content)]) + content

    name = b"\x01vorbis" + struct.pack("<IBI", 0, 1, 44100) + bytes(13)
    file = page(0, name) + page(0, b"\x03") + page(4410, b"a") + page(132300, b"b")
    assert told(file) == 3.0
    assert told(file + page(1 << 40, b"c", serial=8)) == 3.0
    assert told(page(0, b"theora" + bytes(40)) + page(4410, b"a")) is None


def test_what_was_recorded_from_a_station_begins_there() -> None:
    file = bytearray(encoded("opus"))
    at, hour = 0, 3600 * RATE
    while (at := file.find(b"OggS", at)) >= 0:
        (time,) = struct.unpack_from("<q", file, at + 6)
        if time > 0:
            struct.pack_into("<q", file, at + 6, time + hour)
        at += 4
    found = told(bytes(file))
    assert found is not None
    assert found <= SECONDS + 0.1


@settings(max_examples=40)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damage_never_fails(kind: str, data: st.DataObject) -> None:
    file = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(0, 4))):
        # Most of what counts is in the first bytes, or in the last ones.
        at = data.draw(st.integers(0, 300) | st.integers(len(file) - 700, len(file) - 1))
        file[at] = data.draw(st.integers(0, 255))
    found = told(bytes(file[: data.draw(st.just(len(file)) | st.integers(0, len(file)))]))
    assert found is None or (0 < found < math.inf)


@given(st.binary(max_size=200), st.sampled_from([b"", b"OggS", b"\xff\xfb", b"\x1a\x45\xdf\xa3"]))
def test_noise_never_fails(noise: bytes, mark: bytes) -> None:
    found = told(mark + noise)
    assert found is None or (0 < found < math.inf)
