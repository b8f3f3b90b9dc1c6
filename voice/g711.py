"""G.711: samples of telephones, of 8 bits, as samples of 16 bits and back. Pure.

Both laws halve the step with each of eight segments towards silence (ITU-T G.711).
"""

from __future__ import annotations

from array import array
from functools import cache
from typing import Literal

Law = Literal["ulaw", "alaw"]
RATE = 8000
"""Samples a second."""
_BIAS, _CLIP = 0x84, 32635
_SIGN, _SEGMENT, _STEP = 0x80, 0x70, 0x0F
_EVEN = 0x55


def decoded(data: bytes, law: Law) -> bytes:
    """Return samples of 16 bits."""
    table = _tables(law)[0]
    return array("h", (table[byte] for byte in data)).tobytes()


def encoded(samples: bytes, law: Law) -> bytes:
    """Return samples of 8 bits; of an odd last byte nothing is kept."""
    table = _tables(law)[1]
    return bytes(table[each >> 2] for each in array("h", samples[: len(samples) // 2 * 2]))


@cache
def _tables(law: Law) -> tuple[list[int], dict[int, int]]:
    """Return the 16 bits of each byte, and the byte of each sample without its last two bits."""
    decode, encode = (_of_ulaw, _to_ulaw) if law == "ulaw" else (_of_alaw, _to_alaw)
    return [decode(byte) for byte in range(256)], {
        each: encode(each << 2) for each in range(-8192, 8192)
    }


def _of_ulaw(byte: int) -> int:
    byte = ~byte & 0xFF
    size = (((byte & _STEP) << 3) + _BIAS << ((byte & _SEGMENT) >> 4)) - _BIAS
    return -size if byte & _SIGN else size


def _to_ulaw(sample: int) -> int:
    sign = _SIGN if sample < 0 else 0
    size = min(abs(sample), _CLIP) + _BIAS
    segment = size.bit_length() - 8
    return ~(sign | segment << 4 | size >> segment + 3 & _STEP) & 0xFF


def _of_alaw(byte: int) -> int:
    byte ^= _EVEN
    segment, size = (byte & _SEGMENT) >> 4, ((byte & _STEP) << 4) + 8
    if segment:
        size = size + 0x100 << segment - 1
    return size if byte & _SIGN else -size


def _to_alaw(sample: int) -> int:
    sign = _SIGN if sample >= 0 else 0
    size = min(abs(sample) if sample >= 0 else -sample - 1, 0x7FFF)
    segment = max(0, size.bit_length() - 8)
    step = size >> (segment + 3 if segment else 4) & _STEP
    return (sign | segment << 4 | step) ^ _EVEN
