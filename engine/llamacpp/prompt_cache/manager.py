"""``PromptCacheManager``: the saved states of all models, and whether restores help them."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.engine_cache import EnginePromptCache
from engine.llamacpp.prompt_cache.flag_probe import FlagProbe
from engine.llamacpp.prompt_cache.save_policy import SavePolicy
from engine.resources.learnt_store import PromptCacheMisses
from utils.clock import LoopClock
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.llamacpp.client import LlamaCppEngine
    from engine.llamacpp.prompt_cache.store import StateStore
    from models.spec import VariantSpec
    from utils.clock import Clock

_log = get_logger("prompt_cache")
# After this many restores in a row that saved no prefill, they count as useless.
_GIVES_UP = 2
_LITTLE = 10
# Seconds until the next try. Some engines can use a state only if the prompt continues it exactly;
# and a script of the user may start another engine than before.
_TRIES_AGAIN = 24 * 60 * 60


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
        self._policies: defaultdict[str, SavePolicy] = defaultdict(SavePolicy)

    def save_policy(self, kind: str) -> SavePolicy:
        """Return the policy for saving slots of this fingerprint."""
        return self._policies[kind]

    def useless(self, kind: str) -> bool:
        """Return whether restores were useless for this fingerprint within the last day."""
        misses, at = self._misses.since(kind)
        return misses >= _GIVES_UP and self._now() - at < _TRIES_AGAIN

    def helped(self, kind: str, expected: int, cached: int, label: str) -> None:
        """Note that a restore should have saved ``expected`` tokens, and saved ``cached``.

        If it saved a few, the engine can use states: the prompt has changed near its beginning,
        for example by a template that prints the date.
        """
        misses, _ = self._misses.since(kind)
        if cached * _LITTLE >= expected:
            self._misses.learn(kind, 0, self._now())
        elif cached == 0:
            self._misses.learn(kind, misses + 1, self._now())
            if self.useless(kind):
                _log.warning("%s cannot use saved states; restores are off for a day", label)

    def of(self, variant: VariantSpec, client: LlamaCppEngine) -> EnginePromptCache:
        """Return the prompt cache of an engine that starts now."""
        return EnginePromptCache(self, variant, client)
