"""engine/llamacpp/progress.py: what an engine says of its loading."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.llamacpp.progress import expected, is_protocol, percent_in

STATE = "cmd_child_to_router:state:"


def line(state: str = "loading", **payload: Any) -> str:
    return STATE + json.dumps({"state": state, "payload": payload})


@pytest.mark.parametrize(
    ("stages", "current", "value", "percent"),
    [
        (["text_model"], "text_model", 0.0, 0.0),
        (["text_model"], "text_model", 0.4567, 45.7),
        (["text_model"], "text_model", 1, 100.0),
        (["text_model", "mmproj"], "text_model", 0.5, 25.0),
        (["text_model", "mmproj"], "mmproj", 0.5, 75.0),
        (["text_model"], "text_model", 7.0, 100.0),
        (["text_model"], "text_model", -1.0, 0.0),
    ],
)
def test_stages_are_parts_of_the_whole(
    stages: list[str], current: str, value: float, percent: float
) -> None:
    assert percent_in(line(stages=stages, current=current, value=value)) == percent


@pytest.mark.parametrize(
    "said",
    [
        STATE,
        STATE + "{",
        STATE + "[]",
        STATE + "7",
        line("ready", id="m"),
        line(),
        line(stages=[], current="x", value=0.5),
        line(stages=["x"], current="y", value=0.5),
        line(stages=["x"], current="x", value=None),
        line(stages=7, current="x", value=0.5),
        "cmd_child_to_router:other:{}",
    ],
)
def test_what_it_does_not_tell_is_not_made_up(said: str) -> None:
    assert percent_in(said) is None
    assert is_protocol(said)


def test_other_lines_are_for_people() -> None:
    assert not is_protocol("srv  load_model: loading model")


def test_the_last_load_tells_of_this_one() -> None:
    assert expected(10.0, 4.0) == ", 40 %, 6 s left"
    assert expected(10.0, 9.1) == ", 91 %, 1 s left"
    assert expected(10.0, 10.0) == ""
    assert expected(0.0, 1.0) == ""
