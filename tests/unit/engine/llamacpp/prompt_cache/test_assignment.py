"""assignment.py: where a request is answered, and what it says of that itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from engine.llamacpp.prompt_cache.assignment import SlotAssignment, assign_slot, wish_of
from engine.llamacpp.prompt_cache.slots import SlotBook
from models.requests import endpoints
from models.requests.reader import parse
from tests.unit.engine.llamacpp.prompt_cache.test_index import marks

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint


def seated(
    book: SlotBook, kind: Endpoint = endpoints.CHAT, **fields: Any
) -> tuple[SlotAssignment, bytes]:
    request = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, **fields}
    facts = parse(kind, orjson.dumps(request))
    assignment, _ = assign_slot(book, wish_of(facts), marks("ab"))
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
    assignment, _ = assign_slot(SlotBook.of(2), wish_of(facts), ())
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


@pytest.mark.parametrize("field", ["n", "n_cmpl", "id_slot", "lora", "cache_prompt"])
@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}, "1", 1.5, True, None])
def test_whatever_stands_in_a_field_the_engine_is_to_judge_it(field: str, value: Any) -> None:
    _, body = seated(SlotBook.of(2), **dict[str, Any]({field: value}))
    assert orjson.loads(body)[field] == value


def test_an_adapter_of_its_own_leaves_what_no_other_request_can_use() -> None:
    assert seated(SlotBook.of(1), lora=[{"id": 0, "scale": 0.5}])[0].slot is None
    assert seated(SlotBook.of(1), lora=[])[0].slot is not None


def test_who_wants_nothing_remembered_gets_nothing_restored() -> None:
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


def test_while_a_request_is_astray_no_slot_is_named() -> None:
    book = SlotBook.of(3)
    seated(book, n=2)
    for _ in range(2):
        assignment, body = seated(book)
        assert (assignment.slot, assignment.likely) == (None, None)
        assert "id_slot" not in orjson.loads(body)
    assert book.astray == 3
    # A client's own word is the engine's business.
    named, _ = seated(book, id_slot=1)
    assert named.slot is book.slots[1]
    for _ in range(3):
        book.strayed(None, begun=True)
    assert seated(book)[0].slot is not None


def test_embeddings_are_astray() -> None:
    book = SlotBook.of(2)
    wish = wish_of(parse(endpoints.EMBEDDINGS, b'{"input": "x"}'))
    assignment, _ = assign_slot(book, wish, ())
    assert assignment.slot is None
    assert book.astray == 1
