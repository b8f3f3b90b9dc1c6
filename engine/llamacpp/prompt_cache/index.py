"""The index of saved slots: which one helps a prompt most, and which are removed first. Pure.

A saved state is the content of one slot. The marks of the prompt that was answered in the slot
describe it. The index has no text of the conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.prefix import spared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

# The fewest tokens to save or restore: fewer are prefilled as quickly.
LEAST = 64
# A restore must save the prefill of at least 1/_SHARE of the state's tokens, as it loads them all.
_SHARE = 10


@dataclass(frozen=True, slots=True)
class SavedState:
    """One saved slot: its ``tokens``, the ``size`` of its file in bytes, ``used_at`` in wall time.

    ``checksum`` is that of the file: with a damaged state an engine would not fail, but answer
    nonsense.
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
    """The saved states, ``by_name``, the least recently used first.

    A reader sees the states of one moment, even while another thread changes them.
    """

    def __init__(self, states: Iterable[SavedState] = ()) -> None:
        self.by_name = {state.name: state for state in sorted(states, key=_age)}

    def __len__(self) -> int:
        return len(self.by_name)

    @property
    def states(self) -> tuple[SavedState, ...]:
        """All states, the least recently used first."""
        return tuple(self.by_name.values())

    @property
    def ends(self) -> Iterator[Mark]:
        """The last mark of each state's prompt."""
        return (state.marks[-1] for state in self.by_name.values() if state.marks)

    @property
    def size(self) -> int:
        """The size of all states in bytes."""
        return sum(state.size for state in self.by_name.values())

    def add(self, state: SavedState) -> tuple[SavedState, ...]:
        """Add a state; remove and return the states that it replaces.

        A conversation that continued replaces its earlier states: if a whole older prompt is the
        beginning of the new one, the new state helps wherever the old one did.
        """
        ended = state.marks[-1].digest if state.marks else None
        known = {mark.digest for mark in state.marks}
        gone = tuple(
            other
            for other in self.by_name.values()
            if (other.model, other.fingerprint) == (state.model, state.fingerprint)
            and other.marks
            and other.marks[-1].digest in known
            # Keep one that ends at the same place but has a longer answer.
            and (other.marks[-1].digest != ended or other.tokens <= state.tokens)
        )
        names = {other.name for other in gone}
        kept = {name: each for name, each in self.by_name.items() if name not in names}
        self.by_name = kept | {state.name: state}
        return gone

    def renew(self, state: SavedState) -> None:
        """Make a known state the most recently used one."""
        self.by_name = {**self._without(state.name), state.name: state}

    def drop(self, name: str) -> None:
        """Remove the state, if it is known."""
        self.by_name = self._without(name)

    def _without(self, name: str) -> dict[str, SavedState]:
        return {each: state for each, state in self.by_name.items() if each != name}

    def best(
        self, model: str, fingerprint: str, marks: Sequence[Mark], *, held: int, context: int
    ) -> SavedState | None:
        """Return the state that saves most of the prefill; None if no restore is worth its time.

        ``held`` is the number of the prompt's tokens that the engine's slot has already. A state
        must fit into ``context`` tokens. Of equal states, the one with fewer tokens loads faster.
        """
        found, most = None, (held, 0)
        for state in self.by_name.values():
            if (state.model, state.fingerprint) != (model, fingerprint) or state.tokens > context:
                continue
            gain = spared(marks, state.marks, state.tokens)
            if gain - held < max(LEAST, state.tokens // _SHARE):
                continue
            if (gain, -state.tokens) > most:
                found, most = state, (gain, -state.tokens)
        return found

    def kept(self, model: str, fingerprint: str, marks: Sequence[Mark]) -> int:
        """Return how many tokens at the beginning of a slot's content are on disk already."""
        alike = [s for s in self.states if (s.model, s.fingerprint) == (model, fingerprint)]
        return max((spared(marks, state.marks, state.tokens) for state in alike), default=0)

    def over(self, budget: int) -> tuple[SavedState, ...]:
        """Return the least recently used states to remove, so that ``budget`` bytes suffice."""
        surplus = self.size - budget
        going = []
        for state in self.by_name.values():
            if surplus <= 0:
                break
            surplus -= state.size
            going.append(state)
        return tuple(going)


def _age(state: SavedState) -> float:
    return state.used_at
