"""The head of a WAV file."""

from __future__ import annotations

import io
import struct
import wave

import pytest

from engine.sound.wav import ENDLESS, wav_head, wav_of


def recorded(seconds: float, rate: int = 16000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(bytes(int(seconds * rate) * channels * width))
    return file.getvalue()


@pytest.mark.parametrize(
    ("rate", "channels", "width"), [(16000, 1, 2), (44100, 2, 3), (8000, 1, 1)]
)
def test_what_a_head_tells(rate: int, channels: int, width: int) -> None:
    file = recorded(1.5, rate, channels, width)
    found = wav_of(file[:200], len(file))
    assert found is not None
    assert (found.rate, found.channels, found.bits) == (rate, channels, width * 8)
    assert found.seconds == pytest.approx(1.5)
    assert found.plain is (width == 2)
    assert len(file) - found.start == found.size


def test_other_chunks_are_passed_over() -> None:
    file = recorded(1)
    with_list = file[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + file[12:]
    found = wav_of(with_list, len(with_list))
    assert found is not None
    assert found.seconds == 1


@pytest.mark.parametrize("cut", [0, 11, 12, 20, 40])
def test_what_is_no_whole_head(cut: int) -> None:
    assert wav_of(recorded(1)[:cut], cut) is None


def test_samples_before_their_description() -> None:
    assert wav_of(b"RIFF\0\0\0\0WAVEdata\0\0\0\0" + bytes(40), 60) is None


def test_what_is_written_is_read() -> None:
    head = wav_head(22050, 44100)
    with wave.open(io.BytesIO(head + bytes(44100))) as file:
        assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (22050, 22050, 1)
    endless = wav_head(22050)
    assert struct.unpack_from("<I", endless, 40)[0] == ENDLESS
    # The size of a stream is not believed.
    found = wav_of(endless, len(endless) + 44100)
    assert found is not None
    assert found.seconds == 1
