"""What the slots of one running engine hold, as far as the gateway knows. Pure.

An engine answers in the slot that shares most of the prompt, else in the one not used for
the longest time; the gateway names the slot where it can, and guesses the same where not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.prefix import spared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.prefix import Mark

_BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class Slot:
    """One slot: ``marks`` of the prompt it answered last, ``tokens`` of that and its answer.

    ``saved`` says that they are on disk.
    """

    number: int
    marks: tuple[Mark, ...] = ()
    tokens: int = 0
    saved: bool = True
    busy: bool = False
    used: int = 0

    def holds(self, marks: tuple[Mark, ...], tokens: int | None = None) -> None:
        """The slot holds the prompt, and an answer, that are not on disk; it is free.

        Where nobody counted ``tokens``, they are estimated.
        """
        size = marks[-1].size if marks else 0
        self.tokens = size // _BYTES_PER_TOKEN if tokens is None else tokens
        self.marks, self.saved, self.busy = marks, not marks, False

    def restored(self, marks: tuple[Mark, ...], tokens: int) -> None:
        """The slot holds what was saved; nothing, if ``marks`` is empty."""
        self.marks, self.tokens, self.saved = marks, tokens, True

    def left(self) -> None:
        """The slot is free and holds what it held."""
        self.busy = False

    def worth_saving(self, least: int) -> bool:
        """Whether the slot holds ``least`` tokens or more that are not on disk."""
        return not self.saved and self.tokens >= least


@dataclass(slots=True)
class SlotBook:
    """The slots of one run of an engine."""

    slots: tuple[Slot, ...]
    _turn: int = field(default=0, init=False)

    @classmethod
    def of(cls, parallel: int) -> SlotBook:
        """The book of an engine that has just started."""
        return cls(tuple(Slot(number) for number in range(parallel)))

    def take(self, marks: Sequence[Mark], number: int | None = None) -> tuple[Slot, int] | None:
        """The free slot for a prompt, now busy, and how many tokens of it it holds already.

        It is the slot ``number``, if one is named. None where all that may be are busy, as in
        an engine with fewer slots than it was said to have.
        """
        free = [slot for slot in self.slots if not slot.busy and number in {None, slot.number}]
        if not free:
            return None
        held = {slot.number: spared(marks, slot.marks, slot.tokens) for slot in free}
        best = max(free, key=lambda slot: (held[slot.number], -slot.used, -slot.number))
        self._turn += 1
        best.busy, best.used = True, self._turn
        return best, held[best.number]

    def forget(self) -> None:
        """What the free slots hold is not known any more."""
        for slot in self.slots:
            if not slot.busy:
                slot.restored((), 0)

    def unsaved(self, least: int) -> tuple[Slot, ...]:
        """The free slots whose contents are worth saving: ``least`` tokens or more."""
        return tuple(slot for slot in self.slots if not slot.busy and slot.worth_saving(least))
