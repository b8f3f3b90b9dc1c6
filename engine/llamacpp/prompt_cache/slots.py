"""What the slots of one running engine hold, as far as the gateway knows. Pure.

1. An engine answers in the slot that shares most of the prompt, else in the one not used for the
   longest time; the gateway names the slot where it can.
2. Where it cannot, the request is *astray*: the engine chooses among its idle slots. While one is
   active, no slot is named and none is touched, since the request might sit in it.
3. Where an astray request was answered shows afterwards, in the task that each idle slot had last
   and the tokens that it holds. What cannot be told is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from engine.llamacpp.prompt_cache.prefix import spared

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark

_BYTES_PER_TOKEN = 4


class SeenSlot(NamedTuple):
    """What an engine says of an idle slot: the tokens in it, and its last task, if it had one."""

    tokens: int
    task: int | None

    def holds(self, tokens: int) -> bool:
        """Return whether this may be a prompt and an answer of ``tokens`` together."""
        # The last token of an answer is written, but not read again: the engine does not count it.
        return self.tokens in (tokens, tokens - 1)


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
    _seen: SeenSlot | None = None
    _answered: bool = False

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
        self._answered = True

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

    def seen(self, now: SeenSlot | None) -> bool:
        """Return whether the idle slot can still hold what it is known for; None: it is not idle.

        It had no other task since it was seen before, or since it answered.
        """
        kept = now is not None and now.holds(self.tokens)
        if kept and now is not None and not self._answered:
            kept = now.task == (self._seen.task if self._seen else None)
        self._seen, self._answered = now, False
        return kept

    def worth_saving(self, least: int) -> bool:
        """Whether the slot holds ``least`` tokens or more that are not on disk."""
        return not self.saved and self.tokens >= least


@dataclass(frozen=True, slots=True)
class StrayAnswer:
    """What an astray request left in some slot: its prompt, and the tokens of that and the answer.

    ``returning`` says that it went on with what another prompt had displaced.
    """

    marks: tuple[Mark, ...]
    tokens: int
    returning: bool = False


@dataclass(slots=True)
class SlotBook:
    """The slots of one run of an engine; ``packed`` says that they share one context.

    Where they do, a slot more in use leaves less room to the others, so an empty one is the
    last choice. ``astray`` counts the active requests of rule 2; ``uncertain`` says that some
    were answered since ``located`` was called.
    """

    slots: tuple[Slot, ...]
    packed: bool = False
    astray: int = field(default=0, init=False)
    uncertain: bool = field(default=False, init=False)
    _stray_answers: list[StrayAnswer] = field(default_factory=list, init=False)
    _turn: int = field(default=0, init=False)

    @classmethod
    def of(cls, parallel: int, *, packed: bool = False) -> SlotBook:
        """The book of an engine that has just started."""
        return cls(tuple(Slot(number) for number in range(parallel)), packed)

    def take(self, marks: Sequence[Mark], number: int | None = None) -> tuple[Slot, int] | None:
        """Return the free slot for a prompt, now busy, and how many tokens of it it holds already.

        It is the slot ``number``, if one is named. None where all that may be are busy, as in
        an engine with fewer slots than it was said to have.
        """
        found = self.likeliest(marks, number)
        if found is not None:
            self._turn += 1
            found[0].busy, found[0].used = True, self._turn
        return found

    def likeliest(
        self, marks: Sequence[Mark], number: int | None = None
    ) -> tuple[Slot, int] | None:
        """Return what ``take`` would, and leave the slot free."""
        free = [slot for slot in self.slots if not slot.busy and number in {None, slot.number}]
        if not free:
            return None
        held = {slot.number: slot.spares(marks) for slot in free}

        def rank(slot: Slot) -> tuple[int, bool, int, int]:
            filled = self.packed and slot.tokens > 0
            return held[slot.number], filled, -slot.used, -slot.number

        best = max(free, key=rank)
        return best, held[best.number]

    @property
    def ends(self) -> Iterator[Mark]:
        """Where the prompts ended that were answered in the slots."""
        return (slot.marks[-1] for slot in self.slots if slot.marks)

    def strayed(self, answer: StrayAnswer | None, *, begun: bool) -> None:
        """An astray request has ended; some slot is not what it was if the engine had ``begun``."""
        self.astray -= 1
        self.uncertain = self.uncertain or begun
        if answer is not None:
            self._stray_answers.append(answer)

    def located(self, idle: Mapping[int, SeenSlot]) -> list[tuple[Slot, StrayAnswer]]:
        """Return the slots in which stray answers are, as the ``idle`` slots show.

        The caller puts them there. Other slots that may hold something else than they are known
        for are forgotten.
        """
        answers, self._stray_answers, self.uncertain = self._stray_answers, [], False
        free = [slot for slot in self.slots if not slot.busy]
        changed = [slot for slot in free if not slot.seen(idle.get(slot.number))]
        shown = [(slot, now) for slot in changed if (now := idle.get(slot.number)) is not None]
        found = []
        for answer in answers:
            fitting = [slot for slot, now in shown if now.holds(answer.tokens)]
            rivals = [other for other in answers if other.tokens == answer.tokens]
            if len(fitting) == len(rivals) == 1:
                self._turn += 1
                fitting[0].used = self._turn
                found.append((fitting[0], answer))
        for slot in changed:
            if all(slot is not each for each, _ in found):
                slot.restored((), 0)
        return found

    def forget(self) -> None:
        """What the free slots hold is not known any more."""
        self._stray_answers, self.uncertain = [], False
        for slot in self.slots:
            if not slot.busy:
                slot.restored((), 0)

    def unsaved(self, least: int) -> tuple[Slot, ...]:
        """The free slots whose contents are worth saving: ``least`` tokens or more."""
        return tuple(slot for slot in self.slots if not slot.busy and slot.worth_saving(least))
