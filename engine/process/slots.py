"""``server.slots``: numbered places for engines. A slot's number is the port of its engine. Pure.

An engine starts in the slot to which its model is pinned, else in the first free slot of a fitting
type, else on another port. A pin lasts over stops of the engine, until the model is unloaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from utils.errors import BadRequest, SlotTaken, UnknownSlot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from models.capabilities import Capabilities

# What a model must be able to do to be in a slot of this type.
TYPES = {
    "text": frozenset({"text"}),
    "vision": frozenset({"text", "vision"}),
    "omni": frozenset({"text", "vision", "audio"}),
    "embedding": frozenset({"embeddings"}),
    "vision-embedding": frozenset({"embeddings", "vision"}),
    "audio": frozenset({"audio"}),
    "tts": frozenset({"speech"}),
}


class Slot(NamedTuple):
    """A slot; ``type`` is one of ``TYPES``, or None for any model."""

    port: int
    type: str | None = None

    def fits(self, able: Capabilities) -> bool:
        """Return whether a model with these capabilities may be in the slot."""
        return self.type is None or TYPES[self.type] <= able.possible


class Slots:
    """The slots of the configuration, and the models that are pinned to them."""

    def __init__(self, slots: Iterable[Slot] = ()) -> None:
        self._slots = {slot.port: slot for slot in slots}
        self._pinned: dict[int, str] = {}

    @property
    def ports(self) -> Collection[int]:
        """The numbers of all slots; only engines of slots use these ports."""
        return self._slots.keys()

    @property
    def all(self) -> tuple[Slot, ...]:
        """All slots, in the order of the configuration."""
        return tuple(self._slots.values())

    def pinned(self, number: int) -> str | None:
        """Return the model that is pinned to the slot, or None."""
        return self._pinned.get(number)

    def reconfigure(self, slots: Iterable[Slot], models: Collection[str]) -> None:
        """Use these slots from now on; pins of slots and models that are gone end."""
        self._slots = {slot.port: slot for slot in slots}
        self._pinned = {
            port: model
            for port, model in self._pinned.items()
            if port in self._slots and model in models
        }

    def check(self, number: int, model: str, able: Capabilities) -> None:
        """Return if the model may be pinned to the slot, else raise why not."""
        slot = self._slots.get(number)
        if slot is None:
            known = ", ".join(map(str, self._slots)) or "none: see server.slots"
            raise UnknownSlot(f"There is no slot {number}; there are {known}.")
        if not slot.fits(able):
            raise BadRequest(
                f"The slot {number} is for models of type {slot.type}, which '{model}' is not.",
                param="slot",
            )
        holder = self._pinned.get(number)
        if holder not in (None, model):
            raise SlotTaken(f"The slot {number} has the model '{holder}'; unload it first.")

    def pin(self, number: int, model: str) -> None:
        """Pin the model to the slot, and to no other."""
        self.unpin(model)
        self._pinned[number] = model

    def unpin(self, model: str | None) -> None:
        """Let the model, or each model (None), be started anywhere."""
        self._pinned = {
            port: other for port, other in self._pinned.items() if model not in (None, other)
        }

    def port_for(self, model: str, able: Capabilities, taken: Collection[int]) -> int | None:
        """Return the port of the slot in which an engine of the model starts; None without one.

        ``taken`` are the ports of other engines.
        """
        for port, other in self._pinned.items():
            if other == model:
                return port
        for slot in self._slots.values():
            free = slot.port not in taken and slot.port not in self._pinned
            if free and slot.fits(able):
                return slot.port
        return None
