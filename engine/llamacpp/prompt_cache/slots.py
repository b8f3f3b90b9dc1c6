"""What the slots of one running engine hold, as far as the gateway knows. Pure.

1. An engine uses the slot that shares most of the prompt, or else the least recently used one. The
   gateway chooses the same way, and names the slot in the request if it can.
2. If it cannot, the request is *astray*: the engine chooses among its idle slots. While such a
   request is active, the gateway names no slot and saves or restores none, because the request
   may be in it.
3. The slot of an astray request is found afterwards, by the last task of each idle slot and the
   tokens that it holds. If that is not certain, the content of the slots is forgotten.
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
    """One slot: the ``marks`` of its last prompt, and the ``tokens`` of that and its answer.

    ``saved`` says that they are on disk, ``returning`` that the conversation has continued
    before.
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
        """Free the slot, which now holds this prompt and its answer, not yet on disk.

        Without a count, ``tokens`` are estimated.
        """
        size = marks[-1].size if marks else 0
        self.tokens = size // _BYTES_PER_TOKEN if tokens is None else tokens
        self.marks, self.saved, self.busy = marks, not marks, False
        self.returning = returning
        self._answered = True

    def restored(self, marks: tuple[Mark, ...], tokens: int) -> None:
        """Note that the slot holds a saved state; nothing if ``marks`` is empty."""
        self.marks, self.tokens, self.saved = marks, tokens, True
        self.returning = bool(marks)

    def spares(self, marks: Sequence[Mark]) -> int:
        """Return how many tokens of a prompt are in the slot."""
        return spared(marks, self.marks, self.tokens)

    def left(self) -> None:
        """Free the slot, without a change of its content."""
        self.busy = False

    def seen(self, now: SeenSlot | None) -> bool:
        """Return whether the slot can still hold its known content; ``now`` None: it is not idle.

        That is so if it has had no other task since it was last seen, or since its answer.
        """
        kept = now is not None and now.holds(self.tokens)
        if kept and now is not None and not self._answered:
            kept = now.task == (self._seen.task if self._seen else None)
        self._seen, self._answered = now, False
        return kept

    def worth_saving(self, least: int) -> bool:
        """Return whether the slot holds ``least`` tokens or more that are not on disk."""
        return not self.saved and self.tokens >= least


@dataclass(frozen=True, slots=True)
class StrayAnswer:
    """What an astray request has left in an unknown slot: its prompt, and all its tokens.

    ``returning`` says that it continued a conversation that another prompt had displaced.
    """

    marks: tuple[Mark, ...]
    tokens: int
    returning: bool = False


@dataclass(slots=True)
class SlotBook:
    """The slots of one run of an engine; ``packed`` says that they share one context.

    In a shared context, each used slot leaves less room for the others, so an empty slot is the
    last choice. ``astray`` counts the active requests of rule 2. ``uncertain`` says that some
    were answered since the last call of ``located``.
    """

    slots: tuple[Slot, ...]
    packed: bool = False
    astray: int = field(default=0, init=False)
    uncertain: bool = field(default=False, init=False)
    _stray_answers: list[StrayAnswer] = field(default_factory=list, init=False)
    _turn: int = field(default=0, init=False)

    @classmethod
    def of(cls, parallel: int, *, packed: bool = False) -> SlotBook:
        """Return the slots of an engine that has just started."""
        return cls(tuple(Slot(number) for number in range(parallel)), packed)

    def take(self, marks: Sequence[Mark], number: int | None = None) -> tuple[Slot, int] | None:
        """Return a free slot for a prompt, now busy, and how many of the prompt's tokens it has.

        If ``number`` is given, it is that slot. Return None if no such slot is free, as with an
        engine that has fewer slots than configured.
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
        """The last mark of each slot's prompt."""
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
        """Forget what the free slots hold."""
        self._stray_answers, self.uncertain = [], False
        for slot in self.slots:
            if not slot.busy:
                slot.restored((), 0)

    def unsaved(self, least: int) -> tuple[Slot, ...]:
        """Return the free slots that are worth saving: ``least`` tokens or more."""
        return tuple(slot for slot in self.slots if not slot.busy and slot.worth_saving(least))
