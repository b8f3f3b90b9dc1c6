"""``Spotter``: find wake words in the sound, for phrases that have a model. Pure, but for that.

A second of sound takes it some milliseconds, so it runs beside nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

from engine.sound.resample import resampled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RATE = 16000
"""Samples a second."""
_SAMPLE = 2
_WORD = re.compile(r"\w+")
_MODELS = {
    "okay nabu": "okay_nabu",
    "ok nabu": "okay_nabu",
    "alexa": "alexa",
    "hey jarvis": "hey_jarvis",
    "hey mycroft": "hey_mycroft",
}


class Phrase(Protocol):
    """The model of one phrase, as ``pymicro_wakeword`` has it."""

    def process_streaming(self, features: Any, /) -> bool | None:  # noqa: ANN401 - numpy's array
        """Return whether the phrase ends about here."""
        ...


class Features(Protocol):
    """What the models are told of the sound."""

    def process_streaming(self, audio_bytes: bytes, /) -> Iterable[Any]:
        """Return the features of the next samples."""
        ...


def models_of(words: Sequence[str]) -> frozenset[str] | None:
    """Return the models of these phrases; None if one has no model."""
    phrases = [" ".join(_WORD.findall(word.lower())) for word in words]
    found = frozenset(_MODELS[each] for each in phrases if each in _MODELS)
    return found if all(each in _MODELS for each in phrases) else None


def load(models: frozenset[str]) -> tuple[Features, list[Phrase]]:
    """Return what finds these phrases in one stream of sound.

    ImportError, OSError, RuntimeError or ValueError where it is not to be had.
    """
    import pymicro_wakeword as micro  # noqa: PLC0415 - an optional package, with numpy

    phrases: list[Phrase] = [
        micro.MicroWakeWord.from_builtin(micro.Model(model)) for model in sorted(models)
    ]
    features: Features = micro.MicroWakeWordFeatures()
    return features, phrases


class Spotter:
    """Listens to samples at ``rate`` a second, from the first on."""

    def __init__(self, features: Features, phrases: Sequence[Phrase], rate: int) -> None:
        self._features = features
        self._phrases = phrases
        self._rate = rate
        # How many samples were listened to, and at which of them a phrase was found.
        self._at = 0
        self._found: list[int] = []
        self._last = -rate

    def feed(self, samples: bytes) -> None:
        """Listen to the next samples."""
        self._at += len(samples) // _SAMPLE
        for features in self._features.process_streaming(resampled(samples, self._rate, RATE)):
            # All listen, even if one has found its phrase.
            answers = [phrase.process_streaming(features) for phrase in self._phrases]
            if any(answers):
                # A model finds a phrase again and again for some time: it counts once.
                if self._at - self._last >= self._rate:
                    self._found.append(self._at)
                self._last = self._at

    def has_found(self, start: int, end: int) -> bool:
        """Return whether a phrase was found from one sample to another; forget those before."""
        self._found = [at for at in self._found if at >= start]
        return any(at <= end for at in self._found)
