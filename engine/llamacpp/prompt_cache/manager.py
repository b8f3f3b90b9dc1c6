"""``PromptCacheManager``: the saved states of all models, whether restores help, and when to save.

The request waits for a save, and the save writes to the disk. So a slot is saved only if
1. enough tokens would be lost,
2. they are a good part of the slot's content; so the bytes written over a growing conversation are
   a small multiple of its final size,
3. a save takes a small part of the time of the prefill,
4. the conversation is likely to return: it has returned before, or enough of the conversations that
   were saved as a test have returned. So a series of unrelated prompts is soon not saved any more.
"""

from __future__ import annotations

import time
from collections import defaultdict
from math import inf
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.engine_cache import EnginePromptCache
from engine.llamacpp.prompt_cache.flag_probe import FlagProbe
from engine.llamacpp.prompt_cache.index import LEAST
from engine.resources.learnt_store import PromptCacheMisses
from utils.clock import LoopClock
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.llamacpp.client import LlamaCppEngine
    from engine.llamacpp.prompt_cache.prefix import Mark
    from engine.llamacpp.prompt_cache.store import StateStore
    from models.spec import VariantSpec
    from utils.clock import Clock


# At least 1/_SHARE of a slot's content is not on disk.
_SHARE = 8
# Saving a token takes at most 1/_CHEAPER of the time to prefill it.
_CHEAPER = 10
# Seconds that a save may take if the time of the prefill is unknown.
_BLIND = 0.2
# The fewest tokens from which the time of one token is computed.
_TELLING = 256
# The weight of a new measurement is 1/_NEWEST.
_NEWEST = 4
# How many saves may be made as a test without a return; what the return of a saved conversation
# adds to that number, and what the return of one that was not saved adds.
_HOPE = 4
_REWARD = 2
_REGRET = 1
# How many displaced contents are remembered.
_KNOWN = 64
_log = get_logger("prompt_cache")
# After this many restores in a row that saved no prefill, they count as useless.
_GIVES_UP = 2
_LITTLE = 10
# Seconds until the next try. Some engines can use a state only if the prompt continues it exactly;
# and a script of the user may start another engine than before.
_TRIES_AGAIN = 24 * 60 * 60


class SavePolicy:
    """The measured times of saves and prefills for one fingerprint, and the returns."""

    def __init__(self) -> None:
        # Seconds for each token; None before the first measurement.
        self._saving: float | None = None
        self._reading: float | None = None
        self._hope = _HOPE
        # The last marks of displaced contents, the newest last, and what each adds if it returns.
        self.displaced: dict[bytes, int] = {}

    def saved(self, tokens: int, seconds: float) -> None:
        """Note that the save of a slot took ``seconds``."""
        if tokens >= _TELLING:
            self._saving = _mean(self._saving, seconds / tokens)
        elif self._saving == inf:
            self._saving = None

    def failed(self) -> None:
        """Note that a save failed: no request waits for a save until one has succeeded."""
        self._saving = inf

    def read(self, tokens: int, seconds: float) -> None:
        """Note that the prefill of a prompt took ``seconds``."""
        if tokens >= _TELLING:
            self._reading = _mean(self._reading, seconds / tokens)

    def returns(self, marks: Sequence[Mark]) -> bool:
        """Return whether a prompt continues a conversation that was displaced."""
        found = False
        for mark in marks:
            if (reward := self.displaced.get(mark.digest)) is not None:
                found = True
                self._hope = min(_HOPE, self._hope + reward)
                # A return counts only once.
                self.displaced[mark.digest] = 0
        return found

    def displaces(self, marks: Sequence[Mark], tokens: int, fresh: int, *, returning: bool) -> bool:
        """Return whether to save a slot's content before another prompt replaces it.

        ``fresh`` of its ``tokens`` would be lost and are not on disk. ``returning`` says that the
        conversation has returned before.
        """
        pays = fresh >= max(LEAST, tokens / _SHARE) and self._is_cheap(tokens)
        saves = pays and (returning or self._hope > 0)
        self._hope -= saves and not returning
        if marks:
            self.displaced.pop(marks[-1].digest, None)
            reward = _REWARD if saves else _REGRET
            self.displaced[marks[-1].digest] = 0 if returning else reward
        if len(self.displaced) > _KNOWN:
            del self.displaced[next(iter(self.displaced))]
        return saves

    def _is_cheap(self, tokens: int) -> bool:
        if self._saving is None:
            return True
        if self._reading is None:
            return self._saving * tokens <= _BLIND
        return self._saving * _CHEAPER <= self._reading


def _mean(before: float | None, now: float) -> float:
    return now if before is None or before == inf else before + (now - before) / _NEWEST


class PromptCacheManager:
    """The saved states of all models. ``misses`` include those of earlier runs.

    ``now`` returns the wall time in seconds, which is comparable between runs.
    """

    def __init__(
        self,
        store: StateStore,
        timeout: float,
        clock: Clock | None = None,
        misses: PromptCacheMisses | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.timeout = timeout
        self.clock = clock or LoopClock()
        self.support = FlagProbe()
        self._misses = misses or PromptCacheMisses(None)
        self._now = now
        # What was read of ``misses``, since every request asks.
        self._known_misses: dict[str, tuple[int, int]] = {}
        self._policies: defaultdict[str, SavePolicy] = defaultdict(SavePolicy)

    def save_policy(self, kind: str) -> SavePolicy:
        """Return the policy for saving slots of this fingerprint."""
        return self._policies[kind]

    def useless(self, kind: str) -> bool:
        """Return whether restores were useless for this fingerprint within the last day."""
        if kind not in self._known_misses:
            self._known_misses[kind] = self._misses.since(kind)
        misses, at = self._known_misses[kind]
        return misses >= _GIVES_UP and self._now() - at < _TRIES_AGAIN

    def helped(self, kind: str, expected: int, cached: int, label: str) -> None:
        """Note that a restore should have saved ``expected`` tokens, and saved ``cached``.

        If it saved a few, the engine can use states: the prompt has changed near its beginning,
        for example by a template that prints the date.
        """
        misses, _ = self._misses.since(kind)
        self._known_misses.pop(kind, None)
        if cached * _LITTLE >= expected:
            self._misses.learn(kind, 0, self._now())
        elif cached == 0:
            self._misses.learn(kind, misses + 1, self._now())
            if self.useless(kind):
                _log.warning("%s cannot use saved states; restores are off for a day", label)

    def of(self, variant: VariantSpec, client: LlamaCppEngine) -> EnginePromptCache:
        """Return the prompt cache of an engine that starts now."""
        return EnginePromptCache(self, variant, client)
