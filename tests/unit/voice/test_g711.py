"""G.711, against known values of the two laws."""

from __future__ import annotations

from array import array

import pytest

from voice.g711 import Law, decoded, encoded


@pytest.mark.parametrize(
    ("law", "pairs"),
    [
        ("ulaw", {0xFF: 0, 0x80: 32124, 0x00: -32124, 0xFE: 8, 0x7E: -8, 0xF0: 120, 0xEF: 132}),
        ("alaw", {0xD5: 8, 0x55: -8, 0xAA: 32256, 0x2A: -32256, 0xC5: 264, 0xD4: 24}),
    ],
)
def test_known_values(law: Law, pairs: dict[int, int]) -> None:
    samples = array("h", pairs.values()).tobytes()
    assert array("h", decoded(bytes(pairs), law)).tolist() == list(pairs.values())
    assert encoded(samples, law) == bytes(pairs)


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_each_byte_comes_back_and_each_sample_nearly(law: Law) -> None:
    every = bytes(range(256))
    again = encoded(decoded(every, law), law)
    # Of the two zeros of the one law only one comes back.
    assert [byte for byte in every if again[byte] != byte] in ([], [0x7F])
    samples = list(range(-32768, 32768, 37))
    found = array("h", decoded(encoded(array("h", samples).tobytes(), law), law))
    assert all(abs(a - b) <= 16 + abs(a) / 16 for a, b in zip(samples, found, strict=True))
    assert encoded(b"\0", law) == b""
