"""engine/sound/lengths.py: how long a sound is, by the first bytes of its file."""

from __future__ import annotations

import pytest

from engine.sound.lengths import seconds_of
from engine.sound.wav import wav_head


def flac(rate: int, samples: int, kind: int = 0) -> bytes:
    numbers = rate << 44 | 1 << 41 | 15 << 36 | samples
    described = bytes(10) + numbers.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + bytes([0x80 | kind]) + len(described).to_bytes(3, "big") + described


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
        (wav_head(16000, 32000), 1.0),
        (b"ID3", None),
        (b"", None),
    ],
)
def test_what_the_first_bytes_tell(head: bytes, seconds: float | None) -> None:
    assert seconds_of(head, len(head) + 32000) == seconds
