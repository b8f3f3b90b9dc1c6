"""WAV files as the embedded engine reads them."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest

from engine.whisper.bundled.sound import samples_of


def recorded(rate: int, channels: int, width: int, seconds: float = 0.5) -> bytes:
    """Return a tone of 440 Hz at half of the loudest."""
    times = np.arange(int(rate * seconds)) / rate
    tone = np.repeat(0.5 * np.sin(times * 440 * 2 * np.pi), channels)
    whole = (tone * (2 ** (8 * width - 1) - 1)).astype(np.int64) + (128 if width == 1 else 0)
    data = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width].tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", ""))
        out.writeframes(data)
    return file.getvalue()


@pytest.mark.parametrize("rate", [16000, 22050, 8000, 48000])
@pytest.mark.parametrize(("channels", "width"), [(1, 1), (1, 2), (2, 2), (1, 3), (2, 4)])
def test_a_tone_in_any_form(rate: int, channels: int, width: int) -> None:
    samples = samples_of(recorded(rate, channels, width))
    assert samples.dtype == np.float32
    assert len(samples) == 8000
    middle = samples[2000:6000]
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.05)
    spectrum = np.abs(np.fft.rfft(middle))
    assert spectrum.argmax() * 4 == pytest.approx(440, abs=4)


@pytest.mark.parametrize("cut", [0, 11, 13, 21, 30, 40])
def test_what_is_no_sound(cut: int) -> None:
    with pytest.raises(ValueError, match=r"WAV"):
        samples_of(recorded(16000, 1, 2)[:cut])


def test_samples_of_an_unknown_kind() -> None:
    file = bytearray(recorded(16000, 1, 2))
    file[20:22] = struct.pack("<H", 85)
    with pytest.raises(ValueError, match=r"unknown kind \(85, 16 bits\)"):
        samples_of(bytes(file))
