"""What the engine's own cache in main memory (``--cache-ram``) holds, as far as is known. Pure.

llama-server moves a slot's content there when a request would replace most of it, and searches the
new prompt there. This is faster than a restore from disk, and more recent. But the engine does not
keep content that a restore replaces. If its cache is full, it drops the oldest content; the number
of cached tokens of a later prompt shows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.prefix import goes_on, spared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

# A slot's content is moved to the cache only if a prompt shares less than 1/_MOST of it.
_MOST = 2
# A prompt must share at least 1/_SHARE of a cached content.
_SHARE = 4
# The content was in the cache if the engine had at least 1/_HAD of the expected tokens.
_HAD = 2
_KNOWN = 256


@dataclass(frozen=True, slots=True)
class _Kept:
    marks: tuple[Mark, ...]
    tokens: int


class RamCache:
    """The contents in the cache of one running engine; none if it is not ``able`` to cache."""

    def __init__(self, *, able: bool) -> None:
        self._able = able
        # The newest last.
        self._kept: list[_Kept] = []
        # The cache's size in tokens; None until the engine has shown that it drops content.
        self._room: int | None = None

    def spares(self, marks: Sequence[Mark], tokens: int, held: int) -> int:
        """Return how many tokens of a prompt the engine gets from its cache.

        The prompt goes into a slot with ``tokens`` tokens; the prompt shares ``held`` of them.
        """
        found = self._found(marks) if _loses(tokens, held) else None
        gain = spared(marks, found.marks, found.tokens) if found is not None else 0
        return gain if gain > held else 0

    def displaced(self, marks: tuple[Mark, ...], tokens: int, held: int) -> None:
        """Note that a prompt that shares ``held`` tokens has displaced a slot's content."""
        if not self._able or not marks or not _loses(tokens, held):
            return
        self._kept = [each for each in self._kept if not goes_on(marks, each.marks)][1 - _KNOWN :]
        self._kept.append(_Kept(marks, tokens))
        self._shrink()

    def shown(self, marks: Sequence[Mark], cached: int) -> None:
        """Note that the engine had ``cached`` tokens of a prompt that should be in its cache."""
        found = self._found(marks)
        if found is None:
            return
        if cached * _HAD < spared(marks, found.marks, found.tokens):
            newer = self._kept[self._kept.index(found) :]
            self._room = sum(each.tokens for each in newer) - 1
            self._shrink()
        else:
            # The content is in a slot again.
            self._kept.remove(found)

    def _found(self, marks: Sequence[Mark]) -> _Kept | None:
        gains = [(spared(marks, each.marks, each.tokens), each) for each in self._kept]
        good = [(gain, each) for gain, each in gains if gain * _SHARE >= each.tokens]
        return max(good, key=lambda pair: pair[0])[1] if good else None

    def _shrink(self) -> None:
        if self._room is None:
            return
        while sum(each.tokens for each in self._kept) > self._room:
            del self._kept[0]


def _loses(tokens: int, held: int) -> bool:
    return held * _MOST < tokens
