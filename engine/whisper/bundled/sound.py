"""Read a WAV file as Whisper wants it: mono, 16 kHz, from -1 to 1."""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

RATE: Final = 16000
_KINDS: Final = {(1, 8): "<u1", (1, 16): "<i2", (1, 32): "<i4", (3, 32): "<f4", (3, 64): "<f8"}
_EXTENSIBLE: Final = 0xFFFE
_THREE_BYTES: Final = 24


def samples_of(file: bytes) -> Any:  # noqa: ANN401 - numpy's array
    """Return the samples of a WAV file; raise ValueError if it is none."""
    try:
        return _samples_of(file)
    except struct.error as fault:
        raise ValueError("a WAV file that ends early") from fault


def _samples_of(file: bytes) -> Any:  # noqa: ANN401 - as above
    if file[:4] != b"RIFF" or file[8:12] != b"WAVE":
        raise ValueError("no WAV file")
    at, head = 12, None
    while at + 8 <= len(file):
        name, size = file[at : at + 4], struct.unpack_from("<I", file, at + 4)[0]
        at += 8
        if name == b"fmt ":
            head = struct.unpack_from("<HHIIHH", file, at)
            if head[0] == _EXTENSIBLE and size >= 26:  # noqa: PLR2004 - where its coding stands
                head = (struct.unpack_from("<H", file, at + 24)[0], *head[1:])
        if name == b"data" and head is not None:
            coding, channels, rate, _, _, bits = head
            return _resampled(_mono(file[at : at + size], coding, bits, channels), rate)
        at += size + size % 2
    raise ValueError("a WAV file without samples")


def _mono(data: bytes, coding: int, bits: int, channels: int) -> Any:  # noqa: ANN401 - as above
    raw: Any
    whole: Any
    if (coding, bits) == (1, _THREE_BYTES):
        raw = np.frombuffer(data[: len(data) // 3 * 3], "u1").reshape(-1, 3).astype(np.int32)
        whole = ((raw[:, 0] << 8) | (raw[:, 1] << 16) | (raw[:, 2] << 24)) / 2**31
    elif (coding, bits) in _KINDS:
        kind = np.dtype(_KINDS[coding, bits])
        raw = np.frombuffer(data[: len(data) // kind.itemsize * kind.itemsize], kind)
        whole = raw if kind.kind == "f" else (raw.astype(np.float32) - (128 if bits == 8 else 0))  # noqa: PLR2004 - bytes have no sign
        whole = whole if kind.kind == "f" else whole / 2 ** (bits - 1)
    else:
        raise ValueError(f"samples of an unknown kind ({coding}, {bits} bits)")
    count = max(1, channels)
    return whole[: len(whole) // count * count].reshape(-1, count).mean(axis=1)


def _resampled(samples: Any, rate: int) -> Any:  # noqa: ANN401 - as above
    """Return the samples at 16 kHz; what lies above 8 kHz is taken out first."""
    if rate <= 0:
        raise ValueError("samples without a rate")
    if rate != RATE and len(samples):
        if rate > RATE:
            width = 32
            cut = np.sinc(np.arange(-width, width + 1) * RATE / rate) * np.hanning(2 * width + 1)
            samples = np.convolve(samples, cut / cut.sum(), "same")
        count = int(len(samples) * RATE / rate)
        places = np.arange(count) * (rate / RATE)
        samples = np.interp(places, np.arange(len(samples)), samples)
    return np.ascontiguousarray(samples, dtype=np.float32)
