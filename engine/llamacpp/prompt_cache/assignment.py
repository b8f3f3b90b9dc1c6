"""Assign a slot to a request, and read what its body says about slots. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests import endpoints

if TYPE_CHECKING:
    from engine.llamacpp.prompt_cache.prefix import Mark
    from engine.llamacpp.prompt_cache.slots import Slot, SlotBook
    from models.requests.reader import RequestFacts

# The endpoints whose body may name a slot; for others the engine drops unknown fields.
_SLOT_NAMED = frozenset(
    {endpoints.CHAT, endpoints.COMPLETION, endpoints.INFILL, endpoints.RESPONSES}
)
# Fields that change how an engine uses its slots.
_OWN_WAYS = (b'"id_slot"', b'"lora"', b'"cache_prompt"', b'"n"', b'"n_cmpl"')


@dataclass(slots=True)
class SlotAssignment:
    """The slot of a request, and the marks of its prompt.

    * ``slot``: None if the request is astray, so the engine chooses the slot; ``likely`` is then
      the probable one.
    * ``spared``: how many tokens of prefill a restored state should save; 0 without one.
    * ``near``: how many the engine's cache in main memory should save; 0 without.
    * ``returning``: the prompt continues a conversation that another prompt had displaced.
    """

    slot: Slot | None
    marks: tuple[Mark, ...]
    named: bool
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
        another request is astray.
        """
        several = len(book.slots) > 1
        if not several or not self.regular:
            return self.regular
        if self.slot is not None:
            return self.nameable and 0 <= self.slot < len(book.slots)
        return self.nameable and not book.astray


def wish_of(facts: RequestFacts) -> Wish:
    """Return what the request says about slots."""
    slot, regular = _said(facts.body)
    regular = regular and facts.endpoint.generates
    return Wish(slot, regular, facts.endpoint in _SLOT_NAMED)


def assign_slot(book: SlotBook, wish: Wish, marks: tuple[Mark, ...]) -> tuple[SlotAssignment, int]:
    """Assign a slot, now busy; return the assignment and how many of the tokens the slot has."""
    several = len(book.slots) > 1
    if wish.can_be_placed(book):
        taken = book.take(marks, wish.slot if several else None)
        if taken is not None:
            return SlotAssignment(taken[0], marks, named=several), taken[1]
    likely = None
    if wish.regular and several and not book.astray:
        likely = book.likeliest(marks)
    book.astray += 1
    slot, held = likely or (None, 0)
    return SlotAssignment(None, marks if wish.regular else (), named=False, likely=slot), held


def _said(body: bytes) -> tuple[int | None, bool]:
    """Return the slot that the client names, and whether it uses a single slot as usual."""
    if not any(field in body for field in _OWN_WAYS):
        return None, True
    request: dict[str, Any] = orjson.loads(body)
    wanted = request.get("id_slot")
    one = all(request.get(name) in (None, 1) for name in ("n", "n_cmpl"))
    number = wanted if isinstance(wanted, int) else None
    own = request.get("lora") or request.get("cache_prompt") is False
    return number, one and not own
