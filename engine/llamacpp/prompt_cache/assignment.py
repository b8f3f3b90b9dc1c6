"""A request's place in an engine, and what its body says of where it wants to sit. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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

    Without a ``slot`` the request goes astray: into whichever slot the engine chooses.
    ``spared`` is how many tokens a restored state should save it from reading, ``near`` how many
    what the engine keeps by itself should; 0 without. ``returning`` says that it goes on with
    what another prompt had displaced.
    """

    slot: Slot | None
    marks: tuple[Mark, ...]
    named: bool
    spared: int = 0
    near: int = 0
    returning: bool = False

    def body(self, body: bytes) -> bytes:
        """The request, naming its slot where the engine has several; a client's own choice wins."""
        if not self.named or self.slot is None:
            return body
        return b'{"id_slot":%d,%b' % (self.slot.number, body.lstrip()[1:])


def assign_slot(
    book: SlotBook, facts: RequestFacts, marks: tuple[Mark, ...]
) -> tuple[SlotAssignment, int]:
    """A seat for the request, its slot now busy, and how many of its tokens are there already."""
    several = len(book.slots) > 1
    wanted, regular = _wishes(facts.body)
    if wanted is None:
        regular = regular and (facts.endpoint in _SLOT_NAMED or not several)
    elif several and not 0 <= wanted < len(book.slots):
        regular = False
    taken = book.take(marks, wanted if several else None) if regular else None
    if taken is None:
        return SlotAssignment(None, marks, named=False), 0
    slot, held = taken
    return SlotAssignment(slot, marks, named=several), held


def _wishes(body: bytes) -> tuple[int | None, bool]:
    """The slot that the client names, and whether it uses one slot, in the usual way."""
    if not any(field in body for field in _OWN_WAYS):
        return None, True
    request: dict[str, Any] = orjson.loads(body)
    wanted = request.get("id_slot")
    one = all(request.get(name) in (None, 1) for name in ("n", "n_cmpl"))
    number = wanted if isinstance(wanted, int) else None
    own = request.get("lora") or request.get("cache_prompt") is False
    return number, one and not own
