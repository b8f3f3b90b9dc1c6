"""Decide whether a slot's content is saved before another prompt replaces it. Pure.

The request waits for the save, and the save writes to the disk. So a slot is saved only if

1. enough tokens would be lost,
2. they are a good part of the slot's content; so the bytes written over a growing conversation are
   a small multiple of its final size,
3. a save takes a small part of the time of the prefill,
4. the conversation is likely to return: it has returned before, or enough of the conversations that
   were saved as a test have returned. So a series of unrelated prompts is soon not saved any more.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.index import LEAST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

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


class SavePolicy:
    """The measured times of saves and prefills for one fingerprint, and the returns."""

    def __init__(self) -> None:
        # Seconds for each token; None before the first measurement.
        self._saving: float | None = None
        self._reading: float | None = None
        self._hope = _HOPE
        # The last marks of displaced contents, the newest last, and what each adds if it returns.
        self._displaced: dict[bytes, int] = {}

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
        found = [mark.digest for mark in marks if mark.digest in self._displaced]
        for digest in found:
            self._hope = min(_HOPE, self._hope + self._displaced[digest])
            # A return counts only once.
            self._displaced[digest] = 0
        return bool(found)

    def displaces(self, marks: Sequence[Mark], tokens: int, fresh: int, *, returning: bool) -> bool:
        """Return whether to save a slot's content before another prompt replaces it.

        ``fresh`` of its ``tokens`` would be lost and are not on disk. ``returning`` says that the
        conversation has returned before.
        """
        pays = fresh >= max(LEAST, tokens / _SHARE) and self._is_cheap(tokens)
        saves = pays and (returning or self._hope > 0)
        self._hope -= saves and not returning
        if marks:
            self._displaced.pop(marks[-1].digest, None)
            reward = _REWARD if saves else _REGRET
            self._displaced[marks[-1].digest] = 0 if returning else reward
        if len(self._displaced) > _KNOWN:
            del self._displaced[next(iter(self._displaced))]
        return saves

    def _is_cheap(self, tokens: int) -> bool:
        if self._saving is None:
            return True
        if self._reading is None:
            return self._saving * tokens <= _BLIND
        return self._saving * _CHEAPER <= self._reading


def _mean(before: float | None, now: float) -> float:
    return now if before is None or before == inf else before + (now - before) / _NEWEST
