"""slots.py: which slot a prompt is answered in, and what is worth saving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from engine.llamacpp.prompt_cache.prefix import spared
from engine.llamacpp.prompt_cache.slots import (
    SeenSlot,
    Slot,
    SlotAssignment,
    SlotBook,
    StrayAnswer,
    Wish,
    wish_of,
)
from models.requests import endpoints
from models.requests.reader import parse
from tests.unit.engine.llamacpp.prompt_cache.test_index import marks

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint


def assigned(book: SlotBook, said: str, number: int | None = None) -> SlotAssignment:
    return book.assign(Wish(number, True, True), marks(said), placeable=True)


def taken(book: SlotBook, said: str) -> tuple[Slot, int]:
    assignment = assigned(book, said)
    assert assignment.slot is not None
    return assignment.slot, assignment.held


def test_the_slot_that_holds_most_of_the_prompt_is_taken() -> None:
    book = SlotBook.of(2)
    first, held = taken(book, "ab")
    assert (first.number, held) == (0, 0)
    second, _ = taken(book, "xy")
    assert second.number == 1
    assert assigned(book, "q").slot is None
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
    assert assigned(book, "ab", 1).slot is book.slots[1]
    assert assigned(book, "ab", 1).slot is None


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
    assert spared(marks("xyz"), slot.marks, slot.tokens) == 70


class TestStrayAnswers:
    """Return the slot that the engine chose for a request."""

    def book(self) -> SlotBook:
        """Return two slots that hold a prompt and its answer each, as the engine confirms."""
        book = SlotBook.of(2)
        for said in ("ab", "xy"):
            slot, _ = taken(book, said)
            slot.holds(marks(said), 200 if said == "ab" else 300)
        assert book.located({0: SeenSlot(199, 1), 1: SeenSlot(299, 2)}) == []
        return book

    def test_it_is_in_the_slot_that_holds_as_much(self) -> None:
        book, answer = self.book(), StrayAnswer(marks("cd"), 400)
        book.unplaced = 1
        book.strayed(answer, begun=True)
        assert book.unplaced == 0
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


def seated(
    book: SlotBook, kind: Endpoint = endpoints.CHAT, **fields: Any
) -> tuple[SlotAssignment, bytes]:
    request = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, **fields}
    facts = parse(kind, orjson.dumps(request))
    wish = wish_of(facts)
    assignment = book.assign(wish, marks("ab"), placeable=wish.can_be_placed(book))
    return assignment, assignment.body(facts.body)


def test_an_only_slot_need_not_be_named() -> None:
    book = SlotBook.of(1)
    assignment, body = seated(book)
    assert assignment.slot is book.slots[0]
    assert "id_slot" not in orjson.loads(body)


def test_of_several_the_engine_is_told_which() -> None:
    book = SlotBook.of(2)
    numbers = [orjson.loads(seated(book)[1])["id_slot"] for _ in range(2)]
    assert numbers == [0, 1]
    stray, body = seated(book)
    assert stray.slot is None
    assert "id_slot" not in orjson.loads(body)


def test_a_body_may_begin_with_spaces() -> None:
    facts = parse(endpoints.COMPLETION, b' \n{"prompt": "x"}')
    assignment = SlotBook.of(2).assign(wish_of(facts), (), placeable=True)
    assert orjson.loads(assignment.body(facts.body)) == {"id_slot": 0, "prompt": "x"}


@pytest.mark.parametrize(("wanted", "slot"), [(1, 1), (2, None), (-1, None), ("1", 0)])
def test_a_clients_own_choice_wins(wanted: object, slot: int | None) -> None:
    assignment, body = seated(SlotBook.of(2), id_slot=wanted)
    assert (assignment.slot.number if assignment.slot else None) == slot
    # As the engine reads it: of two fields of one name the last.
    assert orjson.loads(body)["id_slot"] == wanted


def test_where_there_is_one_slot_there_is_no_choice() -> None:
    assert seated(SlotBook.of(1), id_slot=3)[0].slot is not None


@pytest.mark.parametrize("field", ["n", "n_cmpl"])
def test_several_answers_take_several_slots(field: str) -> None:
    one, two = dict[str, Any]({field: 1}), dict[str, Any]({field: 2})
    assert seated(SlotBook.of(2), **one)[0].slot is not None
    assert seated(SlotBook.of(2), **two)[0].slot is None


@pytest.mark.parametrize("field", ["id_slot", "lora", "cache_prompt"])
@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}, "1", 1.5, True, None])
def test_whatever_stands_in_a_field_the_engine_is_to_judge_it(field: str, value: Any) -> None:
    _, body = seated(SlotBook.of(2), **dict[str, Any]({field: value}))
    assert orjson.loads(body)[field] == value


def test_an_adapter_of_its_own_leaves_what_no_other_request_can_use() -> None:
    assert seated(SlotBook.of(1), lora=[{"id": 0, "scale": 0.5}])[0].slot is None
    assert seated(SlotBook.of(1), lora=[])[0].slot is not None


def test_without_cache_prompt_nothing_is_restored() -> None:
    assert seated(SlotBook.of(1), cache_prompt=False)[0].slot is None
    assert seated(SlotBook.of(1), cache_prompt=True)[0].slot is not None


def test_a_body_that_is_translated_cannot_name_its_slot() -> None:
    book = SlotBook.of(2)
    book.slots[1].holds(marks("ab"), 500)
    assignment, body = seated(book, endpoints.MESSAGES)
    assert assignment.slot is None
    assert assignment.likely is book.slots[1]
    assert "id_slot" not in orjson.loads(body)
    # Whatever it says of a slot is lost in translation.
    assert seated(SlotBook.of(2), endpoints.MESSAGES, id_slot=1)[0].slot is None
    assert seated(SlotBook.of(1), endpoints.MESSAGES)[0].slot is not None


def test_while_a_request_is_unplaced_no_slot_is_named() -> None:
    book = SlotBook.of(3)
    seated(book, n=2)
    for _ in range(2):
        assignment, body = seated(book)
        assert (assignment.slot, assignment.likely) == (None, None)
        assert "id_slot" not in orjson.loads(body)
    assert book.unplaced == 3
    # A client's own word is the engine's business.
    named, _ = seated(book, id_slot=1)
    assert named.slot is book.slots[1]
    for _ in range(3):
        book.strayed(None, begun=True)
    assert seated(book)[0].slot is not None


def test_embeddings_are_unplaced() -> None:
    book = SlotBook.of(2)
    wish = wish_of(parse(endpoints.EMBEDDINGS, b'{"input": "x"}'))
    assignment = book.assign(wish, (), placeable=wish.can_be_placed(book))
    assert assignment.slot is None
    assert book.unplaced == 1
