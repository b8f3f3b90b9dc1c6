"""Fields of what a client sends, and faults that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from utils.errors import BadRequest
from voice.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = Fields(
    {"text": "a", "flag": True, "number": 0.5, "words": ["a"], "objects": [{}], "in": {"x": 1}}
)


def test_fields_and_their_defaults() -> None:
    assert (FIELDS.text("text"), FIELDS.text("no", "b")) == ("a", "b")
    assert (FIELDS.flag("flag", default=False), FIELDS.flag("no", default=True)) == (True, True)
    assert (FIELDS.number("number", 1, 0, 1), FIELDS.number("no", 2, 0, 1)) == (0.5, 2)
    assert FIELDS.at("in").count("x", 0, 0, 9) == 1
    assert (FIELDS.choice("text", ("a", "b"), "b"), FIELDS.choice("no", ("a",), "a")) == ("a", "a")
    assert (FIELDS.words("words"), FIELDS.words("no")) == (("a",), ())
    assert (FIELDS.objects("objects"), FIELDS.objects("no")) == ([{}], [])
    assert "text" in FIELDS
    assert "no" not in FIELDS
    assert FIELDS.at("no").raw("x") is None


@pytest.mark.parametrize(
    ("read", "field", "why"),
    [
        (lambda fields: fields.text("flag"), "flag", "text"),
        (lambda fields: fields.flag("text", default=True), "text", "true or false"),
        (lambda fields: fields.number("flag", 0, 0, 1), "flag", "from 0 to 1"),
        (lambda fields: fields.number("number", 0, 1, 2), "number", "from 1 to 2"),
        (lambda fields: fields.count("number", 0, 0, 1), "number", "whole"),
        (lambda fields: fields.choice("text", ("b", "c"), "b"), "text", "b, c"),
        (lambda fields: fields.words("objects"), "objects", "list of texts"),
        (lambda fields: fields.objects("words"), "words", "list of objects"),
        (lambda fields: fields.at("text"), "text", "object"),
        (lambda fields: fields.at("in").text("x"), "in.x", "text"),
    ],
)
def test_faults_name_the_field(read: Callable[[Fields], Any], field: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as raised:
        read(FIELDS)
    assert raised.value.param == field


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(BadRequest, match="What was sent must be an object"):
        Fields([])
