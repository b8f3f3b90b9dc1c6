"""``Hearing``: lends the models of hearing to sessions; what is not installed costs nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.sound.streaming import is_installed
from utils.logger import get_logger
from voice.activity import Loudness
from voice.hearing import silero
from voice.hearing.spotter import Spotter, load, models_of
from voice.hearing.turn_end import TurnEnd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voice.activity import Detector
    from voice.hearing.silero import Model
    from voice.hearing.spotter import Features, Phrase

_log = get_logger("voice")
# Models that wait for the next session; one has 9 MB.
_SPARE = 2


class Kit(NamedTuple):
    """What one session hears with.

    Without ``activity``, speech is what is loud. ``wake`` finds the wake words of the session in
    its sound; without it, they are found in the transcript. Without ``turn_end``, only silence
    ends a turn.
    """

    activity: Model | None = None
    wake: tuple[Features, list[Phrase]] | None = None
    turn_end: TurnEnd | None = None

    def detector(self, rate: int, threshold: float) -> Detector:
        """Return what tells speech from noise from now on; the one before is used no more."""
        if self.activity is None:
            return Loudness(threshold)
        return silero.Silero(self.activity, rate, threshold)

    def spotter(self, rate: int) -> Spotter | None:
        """Return what finds the wake words in the sound, once; None if nothing does."""
        return None if self.wake is None else Spotter(*self.wake, rate)


class Hearing:
    """Loads models, in a thread, for the first sessions, and keeps some for later ones."""

    def __init__(self) -> None:
        self._spare: list[Model] = []
        # What the log has said already.
        self._told: set[str] = set()
        self._missing = False
        # The model of turn ends, by its file; all sessions use the same.
        self._ends: dict[str, TurnEnd | None] = {}

    async def lend(
        self, *, model: bool = True, words: Sequence[str] = (), turn_model: str | None = None
    ) -> Kit:
        """Return a kit: with ``model``, silero's where it is installed; and for wake words.

        ``turn_model`` is the file of the model of turn ends.
        """
        wake, end = await self._wake(words), await self._end(turn_model)
        return Kit(await self._activity() if model else None, wake, end)

    def decodes(self) -> bool:
        """Return whether sound in files is decoded while it comes."""
        found = is_installed()
        if not found:
            self._say("webm, opus and mp3 are heard once the client ends a turn: " + _missing("av"))
        return found

    def give_back(self, kit: Kit) -> None:
        """Take back a kit, once, that no session uses any more."""
        if kit.activity is not None and len(self._spare) < _SPARE:
            self._spare.append(kit.activity)

    async def _activity(self) -> Model | None:
        if self._missing:
            return None
        if self._spare:
            return self._spare.pop()
        try:
            found = await asyncio.to_thread(silero.load)
        except (ImportError, OSError, RuntimeError) as error:
            self._missing = True
            self._say(f"speech is told from noise by its loudness: {_why(error)}")
            return None
        self._say("speech is told from noise by silero's model")
        return found

    async def _wake(self, words: Sequence[str]) -> tuple[Features, list[Phrase]] | None:
        models = models_of(words)
        if not models:
            return None
        try:
            found = await asyncio.to_thread(load, models)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            self._say(f"wake words are found in the transcript: {_why(error)}")
            return None
        self._say("wake words that have a model are found in the sound")
        return found

    async def _end(self, file: str | None) -> TurnEnd | None:
        if file is None:
            return None
        if file not in self._ends:
            found = None
            try:
                found = await asyncio.to_thread(TurnEnd, Path(file))
            except (ImportError, OSError, RuntimeError) as error:
                self._say(f"only silence ends a turn: {_why(error)}")
            else:
                self._say(f"the end of a turn is guessed by {file}")
            self._ends = {file: found}
        return self._ends[file]

    def _say(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            _log.info("voice: %s", what)


def _missing(name: str) -> str:
    return f"{name} is not installed (./init.sh speech)"


def _why(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return _missing(error.name or "")
    return f"the model cannot be loaded: {error}"
