"""Tell speech from silence in samples, and where a turn begins and ends. Pure.

Samples are mono, of 16 bits. Time is counted in samples, so that neither a late packet nor a fast
one changes what was said.
"""

from __future__ import annotations

import math
from array import array
from enum import Enum
from operator import mul
from typing import NamedTuple, Protocol

SAMPLE = 2
"""Bytes of a sample."""
FRAME = 0.02
"""Seconds of a frame, the least that is judged."""
USUAL = 0.5
"""The usual threshold of a detector."""
# The loudness, of at most 32768, that counts as speech at the usual threshold.
_LOUD = 330.0
# Speech is so much louder than the noise of the room. That is the least loudness of late: it
# grows by this factor with each frame, and falls at once.
_ABOVE_NOISE = 3.0
_FORGET = 1.015
_QUIETEST = 10.0
# Frames, of which so many must be speech for it to begin.
_ONSET, _ONSET_OF = 3, 4


class Detector(Protocol):
    """Judges frames of ``FRAME`` seconds, in their order.

    ``lag`` are the seconds of silence, as a rule, that it still takes for speech.
    """

    lag: float

    def is_speech(self, frame: bytes) -> bool:
        """Return whether somebody speaks in this frame."""
        ...


class Loudness:
    """Takes for speech what is louder than ``threshold`` (0 to 1), and than the room's noise."""

    lag = 0.0

    def __init__(self, threshold: float = USUAL) -> None:
        self._least = _LOUD * threshold / USUAL
        self._noise = self._least

    def is_speech(self, frame: bytes) -> bool:
        """Return whether somebody speaks in this frame."""
        samples = array("h", frame)
        loud = math.sqrt(sum(map(mul, samples, samples)) / max(1, len(samples)))
        self._noise = max(_QUIETEST, min(loud, self._noise * _FORGET))
        return loud > max(self._least, self._noise * _ABOVE_NOISE)


class Heard(Enum):
    """What the samples say of a turn.

    - BEGAN: perhaps somebody speaks. SURE: so long that it is no cough. DROPPED: it was one.
    - ENDED: after speech there was silence, or it has lasted too long. ``take`` has the sound.
    """

    BEGAN = "began"
    SURE = "sure"
    DROPPED = "dropped"
    ENDED = "ended"


class Pace(NamedTuple):
    """Seconds: of silence that ends a turn, of speech that is no cough and that interrupts.

    ``complete`` is the silence after speech that sounds complete, where that is known, and
    ``unfinished`` the least after words that end in the middle of a sentence. ``before`` are the
    seconds of sound before the first speech that belong to it, ``longest`` those of one turn.
    """

    silence: float = 0.5
    least: float = 0.12
    sure: float = 0.3
    before: float = 0.3
    longest: float = 60.0
    complete: float = 0.3
    unfinished: float = 0.8


class Endpointer:
    """Takes the samples of a session, and finds the turns in them."""

    def __init__(self, rate: int, detector: Detector, pace: Pace = Pace()) -> None:  # noqa: B008 - it cannot change
        self._rate = rate
        self._detector = detector
        self._pace = pace
        self._frame = int(rate * FRAME) * SAMPLE
        self._sound = bytearray()
        # Where in the sound the next frame begins.
        self._judged = 0
        self._recent: list[bool] = []
        self._voiced = 0.0
        # Seconds of silence since the last speech of the turn.
        self.silent = 0.0
        self.speaking = False
        # Whether the speech is so long that it is no cough.
        self.sure = False
        # The sample at which the sound that is kept begins.
        self.start = 0
        # How many frames of speech were heard, in all turns.
        self.mark = 0
        self._complete = self._unfinished = -1

    @property
    def seconds(self) -> float:
        """The length of the sound that is kept."""
        return len(self._sound) / (self._rate * SAMPLE)

    @property
    def counts(self) -> bool:
        """Whether there is speech that is long enough for a turn."""
        return self.speaking and self._voiced >= self._pace.least

    def feed(self, samples: bytes) -> list[Heard]:
        """Take more samples; return what they say, in order. Stop at a turn that has ended.

        After ENDED, ``take`` must be called, and then ``feed`` with b"" for the rest.
        """
        self._sound += samples
        told: list[Heard] = []
        while self._judged + self._frame <= len(self._sound) and Heard.ENDED not in told:
            frame = bytes(self._sound[self._judged : self._judged + self._frame])
            self._judged += self._frame
            told += self._judge(speech=self._detector.is_speech(frame))
        return told

    def take(self) -> bytes:
        """Return the sound of the turn so far; the next turn begins after it."""
        taken = bytes(self._sound[: self._judged] if self.speaking else self._sound)
        self._cut(len(taken))
        self._reset()
        return taken

    def sounds_complete(self, mark: int) -> None:
        """Wait for less silence, as the speech up to this ``mark`` sounds complete."""
        self._complete = mark

    def reads_unfinished(self, mark: int) -> None:
        """Wait for more silence, as the words up to this ``mark`` end in the middle."""
        self._unfinished = mark

    @property
    def end(self) -> int:
        """The sample at which the sound of the turn so far ends."""
        return self.start + (self._judged if self.speaking else len(self._sound)) // SAMPLE

    def so_far(self) -> bytes:
        """Return the sound of the turn so far; it stays."""
        return bytes(self._sound[: self._judged])

    def clear(self) -> None:
        """Forget the sound so far."""
        self._cut(len(self._sound))
        self._reset()

    def _judge(self, *, speech: bool) -> list[Heard]:
        told: list[Heard] = []
        if not self.speaking:
            self._recent = [*self._recent[1 - _ONSET_OF :], speech]
            if self._recent.count(True) < _ONSET:
                self._forget()
                return told
            self.speaking = True
            self._voiced = FRAME * (_ONSET - 1)
            told.append(Heard.BEGAN)
        self._voiced += FRAME * speech
        self.mark += speech
        self.silent = 0.0 if speech else FRAME + (self.silent or self._detector.lag)
        if not self.sure and self._voiced >= self._pace.sure:
            self.sure = True
            told.append(Heard.SURE)
        long = self._judged >= self._pace.longest * self._rate * SAMPLE
        silence = self._pace.silence
        if self.mark == self._complete:
            silence = min(silence, self._pace.complete)
        if self.mark == self._unfinished:
            silence = max(silence, self._pace.unfinished)
        # Half a frame, as tenths of seconds do not add up.
        if long or self.silent >= silence - FRAME / 2:
            if self._voiced >= self._pace.least:
                told.append(Heard.ENDED)
            else:
                told.append(Heard.DROPPED)
                self._reset(self._judged)
                self._forget()
        return told

    def _forget(self) -> None:
        """Keep only what may belong to the beginning of speech."""
        keep = int(self._pace.before * self._rate) * SAMPLE + self._frame * _ONSET_OF
        if (more := self._judged - keep) > 0:
            self._cut(more)
            self._judged -= more

    def _cut(self, size: int) -> None:
        del self._sound[:size]
        self.start += size // SAMPLE

    def _reset(self, judged: int = 0) -> None:
        self._judged = judged
        self._recent = []
        self._voiced = self.silent = 0.0
        self.speaking = self.sure = False
