"""Samples at another rate."""

from __future__ import annotations

import math
from array import array

import pytest

from engine.sound.resample import resampled


def tone(rate: int, seconds: float = 0.5) -> bytes:
    count = int(rate * seconds)
    return array(
        "h", (int(9000 * math.sin(at * 440 * math.tau / rate)) for at in range(count))
    ).tobytes()


@pytest.mark.parametrize(("rate", "wanted"), [(22050, 24000), (16000, 24000), (24000, 16000)])
def test_a_tone_stays_the_tone(rate: int, wanted: int) -> None:
    made = array("h", resampled(tone(rate), rate, wanted))
    expected = array("h", tone(wanted))
    assert len(made) == len(expected)
    # After the last sample there is no next one.
    pairs = list(zip(made, expected, strict=True))[:-2]
    assert max(abs(one - other) for one, other in pairs) < 200


def test_what_needs_no_change() -> None:
    assert resampled(b"\1\2", 22050, 22050) == b"\1\2"
    assert resampled(b"", 22050, 24000) == b""
    assert resampled(b"\1\2\3", 24000, 12000) == b""
