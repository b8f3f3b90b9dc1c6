"""What the slots of one running engine hold, as far as the gateway knows. Pure.

An engine answers in the slot that shares most of the prompt, else in the one not used for
the longest time; the gateway names the slot where it can, and guesses the same where not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.llamacpp.prompt_cache.prefix import spared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

_BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class Slot:
    """One slot: ``marks`` of the prompt it answered last, ``tokens`` of that and its answer.

    ``saved`` says that they are on disk, ``returning`` that a prompt went on with what was
    read before.
    """

    number: int
    marks: tuple[Mark, ...] = ()
    tokens: int = 0
    saved: bool = True
    returning: bool = False
    busy: bool = False
    used: int = 0

    def holds(
        self, marks: tuple[Mark, ...], tokens: int | None = None, *, returning: bool = False
    ) -> None:
        """The slot holds the prompt, and an answer, that are not on disk; it is free.

        Where nobody counted ``tokens``, they are estimated.
        """
        size = marks[-1].size if marks else 0
        self.tokens = size // _BYTES_PER_TOKEN if tokens is None else tokens
        self.marks, self.saved, self.busy = marks, not marks, False
        self.returning = returning

    def restored(self, marks: tuple[Mark, ...], tokens: int) -> None:
        """The slot holds what was saved; nothing, if ``marks`` is empty."""
        self.marks, self.tokens, self.saved = marks, tokens, True
        self.returning = bool(marks)

    def spares(self, marks: Sequence[Mark]) -> int:
        """How many tokens of a prompt are in the slot."""
        return spared(marks, self.marks, self.tokens)

    def left(self) -> None:
        """The slot is free and holds what it held."""
        self.busy = False

    def worth_saving(self, least: int) -> bool:
        """Whether the slot holds ``least`` tokens or more that are not on disk."""
        return not self.saved and self.tokens >= least


@dataclass(slots=True)
class SlotBook:
    """The slots of one run of an engine; ``packed`` says that they share one context.

    Where they do, a slot more in use leaves less room to the others, so an empty one is the
    last choice.
    """

    slots: tuple[Slot, ...]
    packed: bool = False
    _turn: int = field(default=0, init=False)

    @classmethod
    def of(cls, parallel: int, *, packed: bool = False) -> SlotBook:
        """The book of an engine that has just started."""
        return cls(tuple(Slot(number) for number in range(parallel)), packed)

    def take(self, marks: Sequence[Mark], number: int | None = None) -> tuple[Slot, int] | None:
        """The free slot for a prompt, now busy, and how many tokens of it it holds already.

        It is the slot ``number``, if one is named. None where all that may be are busy, as in
        an engine with fewer slots than it was said to have.
        """
        free = [slot for slot in self.slots if not slot.busy and number in {None, slot.number}]
        if not free:
            return None
        held = {slot.number: slot.spares(marks) for slot in free}

        def rank(slot: Slot) -> tuple[int, bool, int, int]:
            filled = self.packed and slot.tokens > 0
            return held[slot.number], filled, -slot.used, -slot.number

        best = max(free, key=rank)
        self._turn += 1
        best.busy, best.used = True, self._turn
        return best, held[best.number]

    @property
    def ends(self) -> Iterator[Mark]:
        """Where the prompts ended that were answered in the slots."""
        return (slot.marks[-1] for slot in self.slots if slot.marks)

    def forget(self) -> None:
        """What the free slots hold is not known any more."""
        for slot in self.slots:
            if not slot.busy:
                slot.restored((), 0)

    def unsaved(self, least: int) -> tuple[Slot, ...]:
        """The free slots whose contents are worth saving: ``least`` tokens or more."""
        return tuple(slot for slot in self.slots if not slot.busy and slot.worth_saving(least))
