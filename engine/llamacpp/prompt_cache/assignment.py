"""A request's place in an engine, and what its body says of where it wants to sit. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests import endpoints

if TYPE_CHECKING:
    from engine.llamacpp.prompt_cache.prefix import Mark
    from engine.llamacpp.prompt_cache.slots import Slot, SlotBook
    from models.requests.reader import RequestFacts

# Whose body reaches the engine's tasks as it is; others lose unknown fields in translation.
_SLOT_NAMED = frozenset(
    {endpoints.CHAT, endpoints.COMPLETION, endpoints.INFILL, endpoints.RESPONSES}
)
# Fields with which an engine uses slots, or what is in them, in its own way.
_OWN_WAYS = (b'"id_slot"', b'"lora"', b'"cache_prompt"', b'"n"', b'"n_cmpl"')


@dataclass(slots=True)
class SlotAssignment:
    """A request's place: the slot it is answered in, and what its prompt begins with.

    Without a ``slot`` the request goes astray: into whichever slot the engine chooses, ``likely``
    this one. ``spared`` is how many tokens a restored state should save it from reading, ``near``
    how many what the engine keeps by itself should; 0 without. ``returning`` says that it goes on
    with what another prompt had displaced.
    """

    slot: Slot | None
    marks: tuple[Mark, ...]
    named: bool
    spared: int = 0
    near: int = 0
    returning: bool = False
    likely: Slot | None = None

    def body(self, body: bytes) -> bytes:
        """Return the request, naming its slot if it has several; a client's own choice wins."""
        if not self.named or self.slot is None:
            return body
        return b'{"id_slot":%d,%b' % (self.slot.number, body.lstrip()[1:])


class Wish(NamedTuple):
    """What a request says of its place: the slot that it names, and whether it uses one slot.

    One that is not ``regular`` uses several slots, or what is in one in a way of its own.
    """

    slot: int | None
    regular: bool
    nameable: bool

    def can_be_placed(self, book: SlotBook) -> bool:
        """Return whether the request's slot can be known before it is answered.

        A slot that the client names is taken at its word; of several slots no other is named
        while a request is astray.
        """
        several = len(book.slots) > 1
        if not several or not self.regular:
            return self.regular
        if self.slot is not None:
            return self.nameable and 0 <= self.slot < len(book.slots)
        return self.nameable and not book.astray


def wish_of(facts: RequestFacts) -> Wish:
    """Return what the request says of its place."""
    slot, regular = _said(facts.body)
    regular = regular and facts.endpoint.generates
    return Wish(slot, regular, facts.endpoint in _SLOT_NAMED)


def assign_slot(book: SlotBook, wish: Wish, marks: tuple[Mark, ...]) -> tuple[SlotAssignment, int]:
    """Return the request's place, its slot now busy, and how many of its tokens are there."""
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
    """The slot that the client names, and whether it uses one slot, in the usual way."""
    if not any(field in body for field in _OWN_WAYS):
        return None, True
    request: dict[str, Any] = orjson.loads(body)
    wanted = request.get("id_slot")
    one = all(request.get(name) in (None, 1) for name in ("n", "n_cmpl"))
    number = wanted if isinstance(wanted, int) else None
    own = request.get("lora") or request.get("cache_prompt") is False
    return number, one and not own
