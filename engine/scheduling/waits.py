"""Why a request waits, for people: a word for pages, and a sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.scheduling.lifecycle import State
from engine.scheduling.reasons import missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.scheduling.engine_table import EngineRecord
    from models.spec import VariantSpec

_SENTENCES = {
    "load": "{engines} was not ready yet",
    "slot": "every slot of {engines} was in use",
    "turn": "{engines} took no more requests, to make way for an earlier one",
    "busy": "there was no room for {wanted} until the requests of {engines} had ended{short}",
    "room": "there was no room for {wanted} beside {engines}, kept for other requests{short}",
    "ending": "{engines} had not ended yet, to make way for {wanted}",
}


class Blocked(NamedTuple):
    """What keeps a request from an engine of its own.

    ``kind`` is a word of the table above, ``engines`` are in the way, ``short`` is what is missing
    of each resource beside them.
    """

    kind: str
    engines: Sequence[VariantSpec]
    short: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a request waits: ``place`` is its place in the queue, from 1.

    ``wanted`` is the label of the variant that it needs; see ``Blocked`` for the rest. Amounts are
    in bytes.
    """

    kind: str
    wanted: str
    place: int
    engines: tuple[str, ...] = ()
    short: Mapping[str, int] = field(default_factory=dict)

    def sentence(self) -> str:
        """Return the reason as a sentence about the moment when the request came."""
        said = _SENTENCES[self.kind].format(
            wanted=self.wanted,
            engines=" and ".join(self.engines) or "others",
            short=f": not enough {missing(self.short)}" if self.short else "",
        )
        return f"When it came, {said}; it was at place {self.place} of the queue."

    def view(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "kind": self.kind,
            "wanted": self.wanted,
            "place": self.place,
            "engines": list(self.engines),
            "short": dict(self.short),
            "text": self.sentence(),
        }


def wait_of(wanted: VariantSpec, place: int, held: Blocked | EngineRecord | None) -> Wait:
    """Return why a request waits: for ``held``, its own engine or what is in that one's way."""
    if held is None:
        return Wait("room", wanted.label, place)
    if isinstance(held, Blocked):
        engines = tuple(each.label for each in held.engines)
        return Wait(held.kind, wanted.label, place, engines, held.short)
    kind = "load" if held.state is State.STARTING else "slot"
    return Wait(kind, wanted.label, place, (held.variant.label,))
