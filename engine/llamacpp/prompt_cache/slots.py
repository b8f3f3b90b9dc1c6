"""What the slots of one running engine hold, and which slot a request gets. Pure.

1. An engine uses the slot that shares most of the prompt, or else the least recently used one. The
   gateway chooses the same way, and names the slot in the request if it can.
2. If it cannot, the request is *unplaced*: the engine chooses among its idle slots. While such a
   request is active, the gateway names no slot and saves or restores none, because the request
   may be in it.
3. The slot of an unplaced request is found afterwards, by the last task of each idle slot and the
   tokens that it holds. If that is not certain, the content of the slots is forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from engine.llamacpp.prompt_cache.prefix import spared
from models.requests import endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.llamacpp.prompt_cache.prefix import Mark
    from models.requests.reader import RequestFacts


_BYTES_PER_TOKEN = 4
# The endpoints whose body may name a slot; for others the engine drops unknown fields.
_SLOT_NAMED = frozenset({endpoints.CHAT, endpoints.COMPLETION, endpoints.INFILL})
# Fields that change how an engine uses its slots.
_OWN_WAYS = re.compile(rb'"(?:id_slot|lora|cache_prompt|n|n_cmpl)"')


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
    """The content that an unplaced request left in an unknown slot: its prompt, all its tokens.

    ``returning`` says that it continued a conversation that another prompt had displaced.
    """

    marks: tuple[Mark, ...]
    tokens: int
    returning: bool = False


@dataclass(slots=True)
class SlotBook:
    """The slots of one run of an engine; ``packed`` says that they share one context.

    In a shared context, each used slot leaves less room for the others, so an empty slot is the
    last choice. ``unplaced`` counts the active requests of rule 2. ``uncertain`` says that some
    were answered since the last call of ``located``.
    """

    slots: tuple[Slot, ...]
    packed: bool = False
    unplaced: int = field(default=0, init=False)
    uncertain: bool = field(default=False, init=False)
    _stray_answers: list[StrayAnswer] = field(default_factory=list, init=False)
    _turn: int = field(default=0, init=False)

    @classmethod
    def of(cls, parallel: int, *, packed: bool = False) -> SlotBook:
        """Return the slots of an engine that has just started."""
        return cls(tuple(Slot(number) for number in range(parallel)), packed)

    def assign(self, wish: Wish, marks: tuple[Mark, ...], *, placeable: bool) -> SlotAssignment:
        """Assign a slot, now busy, to a prompt; ``placeable`` says whether it can be known.

        The request is unplaced if it cannot, or if its slot is not free, as with an engine that has
        fewer slots than configured.
        """
        several = len(self.slots) > 1
        if placeable:
            found = self.likeliest(marks, wish.slot if several else None)
            if found is not None:
                slot, held = found
                self._turn += 1
                slot.busy, slot.used = True, self._turn
                return SlotAssignment(slot, marks, named=several, held=held)
        likely = None
        if wish.regular and several and not self.unplaced:
            likely = self.likeliest(marks)
        self.unplaced += 1
        probable, held = likely or (None, 0)
        own = marks if wish.regular else ()
        return SlotAssignment(None, own, named=False, held=held, likely=probable)

    def likeliest(
        self, marks: Sequence[Mark], number: int | None = None
    ) -> tuple[Slot, int] | None:
        """Return the free slot for a prompt, and how many of the prompt's tokens it has.

        If ``number`` is given, it is that slot. Return None if no such slot is free.
        """
        free = [slot for slot in self.slots if not slot.busy and number in {None, slot.number}]
        if len(free) <= 1:
            return (free[0], spared(marks, free[0].marks, free[0].tokens)) if free else None
        held = {slot.number: spared(marks, slot.marks, slot.tokens) for slot in free}

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
        """Note the end of an unplaced request; if the engine had ``begun``, a slot has changed."""
        self.unplaced -= 1
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


@dataclass(slots=True)
class SlotAssignment:
    """The slot of a request, and the marks of its prompt.

    * ``slot``: None if the request is unplaced, so the engine chooses the slot; ``likely`` is then
      the probable one.
    * ``held``: how many of the prompt's tokens the slot has.
    * ``spared``: how many tokens of prefill a restored state should save; 0 without one.
    * ``near``: how many the engine's cache in main memory should save; 0 without.
    * ``returning``: the prompt continues a conversation that another prompt had displaced.
    """

    slot: Slot | None
    marks: tuple[Mark, ...]
    named: bool
    held: int = 0
    spared: int = 0
    near: int = 0
    returning: bool = False
    likely: Slot | None = None

    def body(self, body: bytes) -> bytes:
        """Return the request's body with its slot, unless the client has named one."""
        if not self.named or self.slot is None:
            return body
        return b'{"id_slot":%d,%b' % (self.slot.number, body.lstrip()[1:])


class Wish(NamedTuple):
    """What a request says about slots: the slot that it names, and whether it uses one slot.

    A request that is not ``regular`` uses several slots, or uses its slot in another way.
    ``nameable`` says that its body may name a slot.
    """

    slot: int | None
    regular: bool
    nameable: bool

    def can_be_placed(self, book: SlotBook) -> bool:
        """Return whether the request's slot can be known before the answer.

        A slot that the client names is used. Among several slots, the gateway names none while
        another request is unplaced.
        """
        several = len(book.slots) > 1
        if not several or not self.regular:
            return self.regular
        if self.slot is not None:
            return self.nameable and 0 <= self.slot < len(book.slots)
        return self.nameable and not book.unplaced


def wish_of(facts: RequestFacts) -> Wish:
    """Return what the request says about slots."""
    endpoint = facts.endpoint
    slot, regular = _said(facts.body) if _OWN_WAYS.search(facts.body) else (None, True)
    return Wish(slot, regular and endpoint.generates, endpoint in _SLOT_NAMED)


def _said(body: bytes) -> tuple[int | None, bool]:
    """Return the slot that the client names, and whether it uses a single slot as usual."""
    request: dict[str, Any] = orjson.loads(body)
    wanted = request.get("id_slot")
    one = all(request.get(name) in (None, 1) for name in ("n", "n_cmpl"))
    number = wanted if isinstance(wanted, int) else None
    own = request.get("lora") or request.get("cache_prompt") is False
    return number, one and not own
