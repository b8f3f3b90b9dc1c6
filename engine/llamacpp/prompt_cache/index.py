"""Which saved states there are, which one helps a prompt, and which go first. Pure.

A state is one slot's content: what it holds is told by the marks of the prompt that was
answered in it. Nothing of the conversation itself is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.prefix import spared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

# Fewer tokens are read as quickly as a state.
LEAST = 64
# A state must spare this part of its own tokens at least: loading all of it takes time too.
_SHARE = 10


@dataclass(frozen=True, slots=True)
class SavedState:
    """One saved slot: ``tokens`` in it, ``size`` of its file in bytes, ``used_at`` in wall time.

    ``checksum`` is that of the file: a damaged state would not fail but answer nonsense.
    """

    name: str
    model: str
    fingerprint: str
    marks: tuple[Mark, ...]
    tokens: int
    size: int
    used_at: float
    checksum: str = ""


class StateIndex:
    """The saved states, the least recently used first.

    Whoever looks sees them as they were at one moment, also while another thread changes them.
    """

    def __init__(self, states: Iterable[SavedState] = ()) -> None:
        self._states = {state.name: state for state in sorted(states, key=_age)}

    def __len__(self) -> int:
        return len(self._states)

    @property
    def states(self) -> tuple[SavedState, ...]:
        """All of them, the least recently used first."""
        return tuple(self._states.values())

    @property
    def ends(self) -> Iterator[Mark]:
        """Where the prompts ended that were answered in them."""
        return (state.marks[-1] for state in self._states.values() if state.marks)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(state.size for state in self._states.values())

    def add(self, state: SavedState) -> tuple[SavedState, ...]:
        """The state is known; those it makes superfluous are forgotten and returned.

        A conversation that went on replaces what was saved of it before: where all of an
        older prompt is the beginning of the new one, the new state helps wherever it did.
        """
        ended = state.marks[-1].digest if state.marks else None
        known = {mark.digest for mark in state.marks}
        gone = tuple(
            other
            for other in self._states.values()
            if (other.model, other.fingerprint) == (state.model, state.fingerprint)
            and other.marks
            and other.marks[-1].digest in known
            # One that ends in the same place but holds a longer answer is worth more.
            and (other.marks[-1].digest != ended or other.tokens <= state.tokens)
        )
        names = {other.name for other in gone}
        kept = {name: each for name, each in self._states.items() if name not in names}
        self._states = kept | {state.name: state}
        return gone

    def renew(self, state: SavedState) -> None:
        """A known state goes last; nothing else changes."""
        self._states = {**self._without(state.name), state.name: state}

    def drop(self, name: str) -> None:
        """The state is not known any more, if it was."""
        self._states = self._without(name)

    def _without(self, name: str) -> dict[str, SavedState]:
        return {each: state for each, state in self._states.items() if each != name}

    def best(
        self, model: str, fingerprint: str, marks: Sequence[Mark], *, held: int, context: int
    ) -> SavedState | None:
        """The state that spares most of the prompt; None where none is worth its loading.

        ``held`` is how many tokens of it the engine's slot has already; a state must fit
        ``context`` tokens. Of equals the one with fewer tokens is quicker to load.
        """
        found, most = None, (held, 0)
        for state in self._states.values():
            if (state.model, state.fingerprint) != (model, fingerprint) or state.tokens > context:
                continue
            gain = spared(marks, state.marks, state.tokens)
            if gain - held < max(LEAST, state.tokens // _SHARE):
                continue
            if (gain, -state.tokens) > most:
                found, most = state, (gain, -state.tokens)
        return found

    def kept(self, model: str, fingerprint: str, marks: Sequence[Mark]) -> int:
        """How many tokens at the beginning of a slot's content are on disk, in any state."""
        alike = [s for s in self.states if (s.model, s.fingerprint) == (model, fingerprint)]
        return max((spared(marks, state.marks, state.tokens) for state in alike), default=0)

    def over(self, budget: int) -> tuple[SavedState, ...]:
        """The least recently used states without which the others fit into ``budget`` bytes."""
        surplus = self.size - budget
        going = []
        for state in self._states.values():
            if surplus <= 0:
                break
            surplus -= state.size
            going.append(state)
        return tuple(going)


def _age(state: SavedState) -> float:
    return state.used_at
