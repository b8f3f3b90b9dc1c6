"""engine/process/slots.py: which engine starts where."""

from __future__ import annotations

import pytest

from engine.process.slots import TYPES, Slot, Slots
from models.capabilities import Capabilities
from utils.errors import BadRequest, SlotTaken, UnknownSlot


def able(*names: str) -> Capabilities:
    return Capabilities(frozenset(names), frozenset(names))


TEXT, EYES, VECTORS = able("text"), able("text", "vision", "tools"), able("embeddings")
THREE = [Slot(4801, "text"), Slot(4802, "vision"), Slot(4803)]


@pytest.mark.parametrize(
    ("what", "types"),
    [
        (TEXT, {"text"}),
        (EYES, {"text", "vision"}),
        (VECTORS, {"embedding"}),
        (able("text", "vision", "audio"), {"text", "vision", "omni", "audio"}),
        (able("audio"), {"audio"}),
    ],
)
def test_a_type_is_what_a_model_must_be_able_to_do(what: Capabilities, types: set[str]) -> None:
    assert {name for name in TYPES if Slot(1, name).fits(what)} == types
    assert Slot(1).fits(what)


def test_engines_start_in_the_first_free_slot_that_fits() -> None:
    slots = Slots(THREE)
    assert list(slots.ports) == [4801, 4802, 4803]
    assert slots.port_for("m", TEXT, ()) == 4801
    assert slots.port_for("m", EYES, {4801}) == 4802
    assert slots.port_for("m", VECTORS, ()) == 4803
    assert slots.port_for("m", VECTORS, {4803}) is None
    assert Slots().port_for("m", TEXT, ()) is None


def test_a_pinned_model_starts_in_its_slot_and_no_other_does() -> None:
    slots = Slots(THREE)
    slots.pin(4801, "m")
    assert slots.pinned(4801) == "m"
    assert slots.port_for("m", TEXT, {4801}) == 4801
    assert slots.port_for("n", TEXT, ()) == 4803
    slots.pin(4803, "m")
    assert slots.port_for("n", TEXT, ()) == 4801
    slots.unpin("n")
    assert slots.pinned(4803) == "m"
    slots.unpin(None)
    assert slots.pinned(4803) is None


def test_what_cannot_be_pinned_is_told() -> None:
    slots = Slots(THREE)
    slots.check(4801, "m", EYES)
    with pytest.raises(UnknownSlot, match="there are 4801, 4802, 4803"):
        slots.check(7, "m", TEXT)
    with pytest.raises(UnknownSlot, match=r"see server\.slots"):
        Slots().check(7, "m", TEXT)
    with pytest.raises(BadRequest, match="type vision, which 'm' is not"):
        slots.check(4802, "m", TEXT)
    slots.pin(4801, "m")
    slots.check(4801, "m", TEXT)
    with pytest.raises(SlotTaken, match="has the model 'm'"):
        slots.check(4801, "n", TEXT)


def test_a_reload_keeps_the_pins_of_what_is_left() -> None:
    slots = Slots(THREE)
    for port, model in ((4801, "m"), (4802, "n"), (4803, "o")):
        slots.pin(port, model)
    slots.reconfigure(THREE[:2], {"m", "o"})
    assert [slots.pinned(port) for port in (4801, 4802, 4803)] == ["m", None, None]
    assert slots.all == (Slot(4801, "text"), Slot(4802, "vision"))
