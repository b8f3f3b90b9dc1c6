"""What an engine keeps by itself of the prompts that lost their slots. Pure.

llama-server puts a slot's content into its main memory when a request would take most of it
away, and looks there for the new prompt (``--cache-ram``). That is nearer than a state on disk,
and fresher. But what a restored state replaces it does not keep, and when its cache is full it
forgets the oldest; that shows in how many tokens of a prompt it had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.prefix import goes_on, spared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

# A slot that loses less than this part of its content is neither kept nor replaced.
_MOST = 2
# A prompt must share this part of what is kept.
_SHARE = 4
# An engine had what we counted on if it had this part of it.
_HAD = 2
_KNOWN = 256


@dataclass(frozen=True, slots=True)
class _Kept:
    marks: tuple[Mark, ...]
    tokens: int


class RamCache:
    """What one running engine keeps beside its slots; nothing, if it is not ``able`` to."""

    def __init__(self, *, able: bool) -> None:
        self._able = able
        # The newest last.
        self._kept: list[_Kept] = []
        # Tokens; None until the engine has shown that it forgets.
        self._room: int | None = None

    def spares(self, marks: Sequence[Mark], tokens: int, held: int) -> int:
        """How many tokens of a prompt it gets from there.

        The prompt goes into a slot that holds ``tokens``, of which ``held`` are the prompt's.
        """
        found = self._found(marks) if _loses(tokens, held) else None
        gain = spared(marks, found.marks, found.tokens) if found is not None else 0
        return gain if gain > held else 0

    def displaced(self, marks: tuple[Mark, ...], tokens: int, held: int) -> None:
        """A slot's content was displaced by a prompt that shared ``held`` tokens of it."""
        if not self._able or not marks or not _loses(tokens, held):
            return
        self._kept = [each for each in self._kept if not goes_on(marks, each.marks)][1 - _KNOWN :]
        self._kept.append(_Kept(marks, tokens))
        self._shrink()

    def shown(self, marks: Sequence[Mark], cached: int) -> None:
        """A prompt that should be there was read, and the engine had ``cached`` tokens of it."""
        found = self._found(marks)
        if found is None:
            return
        if cached * _HAD < spared(marks, found.marks, found.tokens):
            newer = self._kept[self._kept.index(found) :]
            self._room = sum(each.tokens for each in newer) - 1
            self._shrink()
        else:
            # It is in a slot again.
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
