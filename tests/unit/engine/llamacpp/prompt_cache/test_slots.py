"""slots.py: which slot a prompt is answered in, and what is worth saving."""

from __future__ import annotations

from engine.llamacpp.prompt_cache.slots import SeenSlot, Slot, SlotBook, StrayAnswer
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


class TestStrayAnswers:
    """Where a request was answered whose slot the engine chose."""

    def book(self) -> SlotBook:
        """Two slots that hold a prompt and its answer each, seen so by the engine."""
        book = SlotBook.of(2)
        for said in ("ab", "xy"):
            slot, _ = taken(book, said)
            slot.holds(marks(said), 200 if said == "ab" else 300)
        assert book.located({0: SeenSlot(199, 1), 1: SeenSlot(299, 2)}) == []
        return book

    def test_it_is_in_the_slot_that_holds_as_much(self) -> None:
        book, answer = self.book(), StrayAnswer(marks("cd"), 400)
        book.astray = 1
        book.strayed(answer, begun=True)
        assert book.astray == 0
        assert book.uncertain
        assert book.located({0: SeenSlot(199, 1), 1: SeenSlot(399, 3)}) == [(book.slots[1], answer)]
        assert not book.uncertain
        assert book.slots[0].tokens == 200

    def test_a_slot_that_had_another_task_is_forgotten(self) -> None:
        book = self.book()
        book.strayed(None, begun=True)
        assert book.located({0: SeenSlot(199, 1), 1: SeenSlot(299, 3)}) == []
        assert [slot.tokens for slot in book.slots] == [200, 0]

    def test_two_that_look_alike_are_forgotten(self) -> None:
        book = self.book()
        for said in ("cd", "ef"):
            book.strayed(StrayAnswer(marks(said), 400), begun=True)
        assert book.located({0: SeenSlot(399, 3), 1: SeenSlot(399, 4)}) == []
        assert [slot.tokens for slot in book.slots] == [0, 0]

    def test_a_slot_that_is_at_work_for_somebody_else_is_forgotten(self) -> None:
        book = self.book()
        assert book.located({0: SeenSlot(199, 1)}) == []
        assert [slot.tokens for slot in book.slots] == [200, 0]

    def test_a_slot_that_answered_meanwhile_is_as_it_was(self) -> None:
        book = self.book()
        slot, _ = taken(book, "abc")
        assert book.located({1: SeenSlot(299, 2)}) == []
        slot.holds(marks("abc"), 250)
        assert book.located({0: SeenSlot(249, 5), 1: SeenSlot(299, 2)}) == []
        assert [slot.tokens for slot in book.slots] == [250, 300]
