"""Recorded speech, and noises that are none: mono samples of 16 bits, 16000 a second."""

from __future__ import annotations

import math
import random
from array import array
from pathlib import Path

from voice.g711 import decoded

RATE = 16000
_SPEECH = Path(__file__).with_name("sounds") / "hey_jarvis.ulaw"
_CHORDS = ((261, 329, 392), (293, 370, 440), (349, 440, 523))


def recorded() -> bytes:
    """Return 1.7 seconds of speech: "Hey Jarvis! Turn on the light." A synthetic voice says it."""
    return decoded(_SPEECH.read_bytes(), "ulaw")


def noise(loud: float, seconds: float) -> bytes:
    """Return even noise; ``loud`` is its deviation."""
    dice = random.Random(1)
    return _samples([dice.gauss(0, loud) for _ in range(int(RATE * seconds))])


def cough(seconds: float = 0.3) -> bytes:
    """Return a loud burst of noise that dies away."""
    dice = random.Random(2)
    count = int(RATE * seconds)
    return _samples(
        [12000 * math.exp(-at / RATE / 0.07) * dice.uniform(-1, 1) for at in range(count)]
    )


def music(seconds: float) -> bytes:
    """Return chords that are struck twice a second."""
    made = []
    for at in range(int(RATE * seconds)):
        chord = _CHORDS[at * 2 // RATE % len(_CHORDS)]
        struck = math.exp(-(at % (RATE // 2)) / 4000)
        made.append(4000 * struck * sum(math.sin(math.tau * f * at / RATE) for f in chord))
    return _samples(made)


def mixed(one: bytes, other: bytes) -> bytes:
    """Return two sounds at once, as long as the first."""
    pairs = zip(array("h", one), array("h", other), strict=False)
    return _samples([float(a + b) for a, b in pairs])


def silence(seconds: float) -> bytes:
    """Return samples without a sound."""
    return bytes(int(RATE * seconds) * 2)


def _samples(made: list[float]) -> bytes:
    return array("h", (max(-32768, min(32767, int(each))) for each in made)).tobytes()
