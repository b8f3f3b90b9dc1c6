"""slots.py: which slot a prompt is answered in, and what is worth saving."""

from __future__ import annotations

from engine.llamacpp.prompt_cache.slots import Slot, SlotBook
from tests.unit.engine.llamacpp.prompt_cache.test_index import marks


def taken(book: SlotBook, said: str) -> tuple[Slot, int]:
    found = book.take(marks(said))
    assert found is not None
    return found


def test_the_slot_that_holds_most_of_the_prompt_is_taken() -> None:
    book = SlotBook.of(2)
    first, held = taken(book, "ab")
    assert (first.number, held) == (0, 0)
    second, _ = taken(book, "xy")
    assert second.number == 1
    assert book.take(marks("q")) is None
    first.holds(marks("ab"))
    second.holds(marks("xy"))
    assert taken(book, "xyz") == (second, 500)


def test_else_the_one_not_used_for_the_longest_time() -> None:
    book = SlotBook.of(2)
    for said in ("ab", "cd"):
        slot, _ = taken(book, said)
        slot.holds(marks(said))
    assert taken(book, "q")[0].number == 0


def test_what_was_answered_is_unsaved_until_it_is_restored_or_lost() -> None:
    book = SlotBook.of(1)
    slot, _ = taken(book, "ab")
    assert book.unsaved(1) == ()
    slot.holds(marks("ab"))
    assert book.unsaved(500) == (slot,)
    assert book.unsaved(501) == ()
    slot.restored(marks("xy"), 70)
    assert book.unsaved(1) == ()
    slot, held = taken(book, "xyz")
    assert held == 70
    slot.left()
    assert taken(book, "xyz") == (slot, 70)
    slot.restored((), 0)
    slot.left()
    assert book.unsaved(0) == ()
    assert taken(book, "xyz") == (slot, 0)


def test_a_prompt_without_marks_leaves_nothing_to_save() -> None:
    book = SlotBook.of(1)
    slot, _ = taken(book, "ab")
    slot.holds(())
    assert book.unsaved(0) == ()


def test_a_slot_that_is_named_is_the_one_or_none() -> None:
    book = SlotBook.of(2)
    found = book.take(marks("ab"), 1)
    assert found is not None
    assert found[0].number == 1
    assert book.take(marks("ab"), 1) is None


def test_what_free_slots_hold_can_become_unknown() -> None:
    book = SlotBook.of(2)
    first, _ = taken(book, "ab")
    first.holds(marks("ab"))
    second, _ = taken(book, "xy")
    book.forget()
    assert book.unsaved(1) == ()
    second.holds(marks("xy"))
    assert book.unsaved(1) == (second,)
    assert taken(book, "ab") == (first, 0)


def test_slots_that_share_a_context_are_filled_one_after_the_other() -> None:
    book = SlotBook.of(3, packed=True)
    for said in ("ab", "cd"):
        slot, _ = taken(book, said)
        assert slot.number == 0
        slot.holds(marks(said))
    first, _ = taken(book, "q")
    # Those at once take another.
    second, _ = taken(book, "xy")
    assert (first.number, second.number) == (0, 1)
    first.holds(marks("q"))
    second.holds(marks("xy"))
    assert taken(book, "xyz")[0] is second


def test_what_has_come_back_is_known() -> None:
    slot, _ = taken(SlotBook.of(1), "ab")
    slot.holds(marks("ab"))
    assert not slot.returning
    slot.holds(marks("abc"), returning=True)
    assert slot.returning
    slot.restored((), 0)
    assert not slot.returning
    slot.restored(marks("xy"), 70)
    assert slot.returning
    assert slot.spares(marks("xyz")) == 70
