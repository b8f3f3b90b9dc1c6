"""models/requests/shaping.py: what is changed in a request, and that nothing else is."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from builders import model

from models.catalog import Catalog
from models.requests import endpoints
from models.requests.reader import parse, read
from models.requests.shaping import shape, take_keep_alive
from utils.errors import BadRequest, ModelNotFound

SPEC = model(
    set_params={"temperature": 0.5, "top_k": 1},
    strip_params=("seed", "top_k"),
    alias_params={"m:think": {"temperature": 1, "chat_template_kwargs": {"think": True}}},
)


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [
        ({}, None, {"temperature": 0.5, "top_k": 1}),
        ({"seed": 1, "x": 2}, "m", {"x": 2, "temperature": 0.5, "top_k": 1}),
        ({"temperature": 9, "top_k": 9}, "m", {"temperature": 0.5, "top_k": 1}),
        (
            {},
            "m:think",
            {"temperature": 1, "top_k": 1, "chat_template_kwargs": {"think": True}},
        ),
    ],
)
def test_a_request_is_shaped(before: dict[str, Any], asked: str | None, after: Any) -> None:
    assert shape(before, SPEC, asked)
    assert before == after


@pytest.mark.parametrize(
    ("value", "sent", "changed"),
    [(1, 1, False), (1, True, True), (1, 1.0, True), (True, 1, True), ([1], [1], False)],
)
def test_only_what_differs_is_a_change(value: Any, sent: Any, changed: bool) -> None:
    request = {"x": sent}
    assert shape(request, model(set_params={"x": value}), None) is changed
    assert type(request["x"]) is type(value)


def test_nothing_configured_is_no_change() -> None:
    request = {"model": "m", "seed": 1}
    assert not shape(request, model(), "m")
    assert request == {"model": "m", "seed": 1}


def test_the_engine_may_be_told_another_name() -> None:
    request = {"model": "m"}
    spec = model(upstream_model="org/M")
    assert shape(request, spec, "m")
    assert request == {"model": "org/M"}
    assert not shape(request, spec, "m")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (300, 300.0),
        (1.5, 1.5),
        (-1, math.inf),
        ("0", 0.0),
        ("0s", 0.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("300ms", 0.3),
        ("+10s", 10.0),
        ("-1m", math.inf),
        (".5s", 0.5),
    ],
)
def test_keep_alive_as_ollama_reads_it(value: Any, seconds: float | None) -> None:
    request = {"keep_alive": value, "x": 1}
    there, found = take_keep_alive(request)
    assert there
    assert found == (None if seconds is None else pytest.approx(seconds))
    assert request == {"x": 1}


@pytest.mark.parametrize("value", ["", "5", "m", "5 m", "5x", "sEcReT", "9" * 10**6, True, [], {}])
def test_no_keep_alive(value: Any) -> None:
    with pytest.raises(BadRequest, match="'keep_alive' must be") as caught:
        take_keep_alive({"keep_alive": value})
    assert caught.value.param == "keep_alive"
    assert "sEcReT" not in caught.value.message


def test_no_keep_alive_at_all() -> None:
    assert take_keep_alive({}) == (False, None)


def test_the_body_is_written_anew_only_when_it_changes() -> None:
    body = b'{ "prompt" : "a", "temperature": 0.50 }'
    assert parse(endpoints.COMPLETION, body).body is body
    unchanged = Catalog([model(set_params={"temperature": 0.5})])
    assert read(endpoints.COMPLETION, body, unchanged)[1].body is body
    facts = parse(endpoints.COMPLETION, b'{ "prompt" : "a", "keep_alive": 5 }')
    assert (json.loads(facts.body), facts.keep_alive) == ({"prompt": "a"}, 5.0)


def test_what_is_sized_is_what_the_engine_gets() -> None:
    aliased = model(
        name="m",
        aliases=("m:x",),
        alias_params={"m:x": {"max_tokens": 7}},
        upstream_model="other",
    )
    body = b'{"prompt": "a", "model": "m:x", "max_tokens": 900}'
    found, facts = read(endpoints.COMPLETION, body, Catalog([aliased]))
    assert found is aliased
    assert facts.max_output == 7
    assert facts.model == "m:x"
    assert json.loads(facts.body)["model"] == "other"


def test_the_model_of_the_path_goes_before_the_body_s() -> None:
    one, other = model(name="one"), model(name="other", set_params={"seed": 1})
    body = b'{"prompt": "a", "model": "one"}'
    found, facts = read(endpoints.COMPLETION, body, Catalog([one, other]), "other")
    assert found is other
    assert json.loads(facts.body)["seed"] == 1
    with pytest.raises(ModelNotFound):
        read(endpoints.COMPLETION, body, Catalog([one, other]), "third")
