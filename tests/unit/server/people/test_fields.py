"""server/people/fields.py: what a field may hold."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from accounts.money import NANO
from server.people.fields import OF_ACCOUNT, Fields, key_columns
from utils.errors import BadRequest


def fields(**values: Any) -> Fields:
    return Fields(orjson.dumps(values))


@pytest.mark.parametrize("body", [b"[]", b"{", b"1", b"\xff"])
def test_a_body_is_an_object(body: bytes) -> None:
    with pytest.raises(BadRequest):
        Fields(body)


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (Fields.text, ["", " ", "x" * 121, 1, None, "a\nb"]),
        (Fields.mail, ["x", "a@", "@b", "a b@c", "a@b\n", 5]),
        (Fields.positive, [0, -1, 1.5, True, "1", 2**31]),
        (Fields.moment, [0, -1, True, "now", 1e12]),
        (Fields.flag, [0, "true", None]),
        (Fields.money, ["", "x", True, [], "0.0000000001", "1e30", "nan"]),
        (Fields.patterns, [[], "m", [1], [""], ["x"] * 101]),
        (Fields.scopes, [[], ["root"], "admin", [["read"]]]),
    ],
)
def test_what_is_refused_names_its_field(read: Any, bad: list[Any]) -> None:
    for value in bad:
        with pytest.raises(BadRequest) as raised:
            read(fields(x=value), "x")
        assert raised.value.param == "x"
    with pytest.raises(BadRequest):
        read(fields(), "x")


def test_what_is_read() -> None:
    assert fields(x=" a ").text("x") == "a"
    assert fields(x="A@B.org").mail("x") == "a@b.org"
    assert fields(x=1.5).moment("x") == 1500
    assert [fields(x=each).money("x") for each in ("1.5", 2, 0.1)] == [
        3 * NANO // 2,
        2 * NANO,
        NANO // 10,
    ]
    assert fields(x=["read", "inference"]).scopes("x") == "inference read"


def test_null_unsets_and_the_rest_is_refused() -> None:
    given = fields(rpm=None, budget="1", budget_period="month", priority="low", y=1)
    assert given.columns(OF_ACCOUNT) == {
        "rpm": None,
        "budget": NANO,
        "budget_period": "month",
        "priority": "low",
    }
    with pytest.raises(BadRequest, match="'y' means nothing here"):
        given.end()
    assert key_columns(fields(may_load=False, models=["a*"], scopes=["read"])) == {
        "models": '["a*"]',
        "may_load": False,
        "scopes": "read",
    }
