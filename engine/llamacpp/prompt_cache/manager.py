"""``PromptCacheManager``: saved states of all models, and for whom they are of no use."""

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

_log = get_logger("carry")
# Restores in a row that spared nothing: the engine cannot use them.
_GIVES_UP = 2
_LITTLE = 10
# Seconds. Some can use states of conversations that go on, but not of those that part from
# them; and an engine behind a script of the user's may have been exchanged unseen.
_TRIES_AGAIN = 24 * 60 * 60


class PromptCacheManager:
    """Saved states of all models; ``misses`` are those of earlier runs too.

    ``now`` is the time of day in seconds, which goes on between runs.
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
        self._worth: defaultdict[str, SavePolicy] = defaultdict(SavePolicy)

    def save_policy(self, kind: str) -> SavePolicy:
        """What was learnt of saving states of this fingerprint."""
        return self._worth[kind]

    def useless(self, kind: str) -> bool:
        """Whether engines of this fingerprint gain nothing, as far as was seen within a day."""
        misses, at = self._misses.since(kind)
        return misses >= _GIVES_UP and self._now() - at < _TRIES_AGAIN

    def helped(self, kind: str, expected: int, cached: int, label: str) -> None:
        """A restore should have spared ``expected`` tokens, and the engine had ``cached``.

        Where it had a few, it can use states: the prompt was changed near its beginning, as by
        a template that tells the date.
        """
        misses, _ = self._misses.since(kind)
        if cached * _LITTLE >= expected:
            self._misses.learn(kind, 0, self._now())
        elif cached == 0:
            self._misses.learn(kind, misses + 1, self._now())
            if self.useless(kind):
                _log.warning("%s cannot use saved states; they are left off for a day", label)

    def of(self, variant: VariantSpec, client: LlamaCppEngine) -> EnginePromptCache:
        """What is carried to and from an engine that starts now."""
        return EnginePromptCache(self, variant, client)
