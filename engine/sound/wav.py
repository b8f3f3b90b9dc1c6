"""The head of a WAV file: read, and written. Pure."""

from __future__ import annotations

import struct
from typing import NamedTuple

# The size of data whose end is not known yet; players read to the end of the file.
ENDLESS = 0xFFFFFFFF
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# Codings that every reader of WAV files knows; others are compressed.
READ = (_PCM, _FLOAT, _EXTENSIBLE)
_RIFF = b"RIFF"
_WAVE = b"WAVE"


class Wav(NamedTuple):
    """What a head tells; ``start`` is where the samples begin, ``size`` their bytes."""

    rate: int
    channels: int
    bits: int
    coding: int
    start: int
    size: int

    @property
    def seconds(self) -> float:
        """The length of the sound."""
        return self.size / max(1, self.rate * self.channels * self.bits // 8)

    @property
    def plain(self) -> bool:
        """Whether the samples are whole numbers of 16 bits."""
        return self.coding in (_PCM, _EXTENSIBLE) and self.bits == 16  # noqa: PLR2004 - as named


def wav_of(head: bytes, whole: int) -> Wav | None:
    """Return what the first bytes of a file of ``whole`` bytes tell; None if they are no WAV.

    A size of the samples that is more than the file holds, as streams have it, is not believed.
    """
    if head[:4] != _RIFF or head[8:12] != _WAVE:
        return None
    at, described = 12, None
    while at + 8 <= len(head):
        name, size = head[at : at + 4], struct.unpack_from("<I", head, at + 4)[0]
        at += 8
        if name == b"fmt " and at + 16 <= len(head):
            described = struct.unpack_from("<HHIIHH", head, at)
        if name == b"data":
            if described is None:
                return None
            coding, channels, rate, _, _, bits = described
            return Wav(rate, channels, bits, coding, at, max(0, min(size, whole - at)))
        at += size + size % 2
    return None


def wav_head(rate: int, size: int | None = None) -> bytes:
    """Return the head of mono samples of 16 bits; ``size`` are their bytes, None if not known."""
    data = ENDLESS if size is None else size
    riff = ENDLESS if size is None else size + 36
    described = struct.pack("<IHHIIHH", 16, _PCM, 1, rate, rate * 2, 2, 16)
    return (
        _RIFF
        + struct.pack("<I", riff)
        + _WAVE
        + b"fmt "
        + described
        + b"data"
        + struct.pack("<I", data)
    )
