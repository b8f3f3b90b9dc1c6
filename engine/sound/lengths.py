"""Tell how long a sound is by the first bytes of its file. Pure.

WAV and FLAC tell it there. The length of other kinds is at their end, or in no place at all.
"""

from __future__ import annotations

from engine.sound.wav import wav_of

_FLAC = b"fLaC"
# The place of the rate (20 bits), the channels (3), the bits (5) and the number of samples (36).
_NUMBERS = slice(18, 26)
_RATE_SHIFT = 44
_SAMPLES = (1 << 36) - 1


def seconds_of(head: bytes, whole: int) -> float | None:
    """Return the seconds of a file of ``whole`` bytes; None if its first bytes do not tell them."""
    if head.startswith(_FLAC):
        return _of_flac(head)
    found = wav_of(head, whole)
    return None if found is None else found.seconds


def _of_flac(head: bytes) -> float | None:
    # The description of the stream always comes first. One that was written as a stream has no end.
    if len(head) < _NUMBERS.stop or head[4] & 0x7F:
        return None
    numbers = int.from_bytes(head[_NUMBERS], "big")
    rate, samples = numbers >> _RATE_SHIFT, numbers & _SAMPLES
    return samples / rate if rate and samples else None
