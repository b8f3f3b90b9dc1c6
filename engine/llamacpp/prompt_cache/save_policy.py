"""Whether a slot's content is saved before another prompt takes its place. Pure.

A request waits for that save, and the disk is written to, so it is done only where

1. as many tokens are at stake as a state takes to be worth it,
2. they are a good part of the slot's content: what is written over a conversation that grows
   stays a small multiple of what it has grown to,
3. saving takes a small part of the time that reading takes,
4. the content is likely to be asked for again: its conversation has come back before, or what
   was saved in mere hope of that has come back often enough. A row of prompts that have nothing
   to do with each other is thereby left alone soon.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.index import LEAST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

# At least this part of a slot's content is new to the disk.
_SHARE = 8
# Saving a token takes at most this part of the time to read it.
_CHEAPER = 10
# Where the time to read is not known: how long a save may take, in seconds.
_BLIND = 0.2
# Fewer tokens tell little of the time that one takes.
_TELLING = 256
# The weight of a new measurement beside all before it.
_NEWEST = 4
# How many saves in mere hope may be in vain, and what one is worth that was not, or that was
# not made.
_HOPE = 4
_REWARD = 2
_REGRET = 1
# Of how many displaced contents it is known that they were displaced.
_KNOWN = 64


class SavePolicy:
    """What was learnt of saving and reading the states of one kind."""

    def __init__(self) -> None:
        # Seconds a token; None before the first measurement.
        self._saving: float | None = None
        self._reading: float | None = None
        self._hope = _HOPE
        # The ends of what was displaced, the newest last, and what it is worth if it comes back.
        self._displaced: dict[bytes, int] = {}

    def saved(self, tokens: int, seconds: float) -> None:
        """It took ``seconds`` to save a slot."""
        if tokens >= _TELLING:
            self._saving = _mean(self._saving, seconds / tokens)
        elif self._saving == inf:
            self._saving = None

    def failed(self) -> None:
        """A slot could not be saved: until one could, nobody shall wait for that again."""
        self._saving = inf

    def read(self, tokens: int, seconds: float) -> None:
        """It took ``seconds`` to read a prompt."""
        if tokens >= _TELLING:
            self._reading = _mean(self._reading, seconds / tokens)

    def returns(self, marks: Sequence[Mark]) -> bool:
        """Whether a prompt goes on with something that was displaced."""
        found = [mark.digest for mark in marks if mark.digest in self._displaced]
        for digest in found:
            self._hope = min(_HOPE, self._hope + self._displaced[digest])
            # It counts once.
            self._displaced[digest] = 0
        return bool(found)

    def displaces(self, marks: Sequence[Mark], tokens: int, fresh: int, *, returning: bool) -> bool:
        """Whether a slot's content is saved first, now that another prompt takes its place.

        Of its ``tokens``, ``fresh`` are lost and not on disk; ``returning`` says that its
        conversation has come back before.
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
