"""Samples out of what clients send, and lengths."""

from __future__ import annotations

import io
import struct
import wave
from array import array

import pytest

from utils.errors import BadRequest
from voice.sound import Samples, seconds_of_opus, seconds_of_samples


def wav(samples: list[int], rate: int, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((channels, width, rate, 0, "NONE", ""))
        sound.writeframes(array("h", samples).tobytes())
    return file.getvalue()


def test_pieces_are_put_together() -> None:
    samples = Samples(16000, wav=False)
    assert samples.feed(b"\1\2\3") == b"\1\2"
    assert samples.feed(b"\4") == b"\3\4"
    # It only looks like a head.
    assert samples.feed(b"RIFF") == b"RIFF"


def test_wav_files_of_any_rate_and_the_first_of_two_channels() -> None:
    samples = Samples(16000, wav=True)
    file = wav([1, 9, 2, 9, 3, 9], 16000, channels=2)
    assert array("h", samples.feed(file[:50])).tolist() == [1]
    assert array("h", samples.feed(file[50:])).tolist() == [2, 3]
    assert array("h", samples.feed(wav([0, 100], 8000))).tolist() == [0, 50, 100, 100]


@pytest.mark.parametrize("file", [b"RIFF", wav([1, 2], 16000, width=1), b"RIFF\0\0\0\0WAVE"])
def test_wav_files_that_cannot_be_read(file: bytes) -> None:
    with pytest.raises(BadRequest, match="16 bits"):
        Samples(16000, wav=True).feed(file)


def test_lengths() -> None:
    assert seconds_of_samples(bytes(48000), 24000) == 1
    page = b"OggS\0\4" + struct.pack("<q", 72000) + b"rest"
    assert seconds_of_opus(b"OggS\0\2" + bytes(8) + page) == 1.5
    assert seconds_of_opus(b"nothing") == 0
