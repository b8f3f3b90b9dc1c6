"""models/requests/responses.py: requests to the Responses API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from models.requests import endpoints
from models.requests.reader import RequestFacts, parse
from utils.errors import BadRequest

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def facts(value: Any, **fields: Any) -> RequestFacts:
    return parse(endpoints.RESPONSES, json.dumps({"input": value, **fields}).encode())


def test_a_text_with_instructions() -> None:
    found = facts("hi", instructions="Be brief.")
    assert [(s.text, s.verbatim) for s in found.segments] == [
        ("", True),
        ("Be brief.", True),
        ("hi", True),
    ]
    assert not found.prefilled
    assert not found.needs


def test_a_text_is_what_a_user_says() -> None:
    text, items = facts("hi"), facts([{"role": "user", "content": "hi"}])
    assert text.segments == items.segments
    assert facts("hi", instructions="Be brief.").segments != items.segments


def test_items() -> None:
    found = facts(
        [
            {"role": "user", "content": "a"},
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "b"}],
            },
            {
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:AAAA"}],
            },
            {"type": "reasoning", "summary": [], "content": [{"type": "x", "text": "hm"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "done"},
            {"type": "message", "role": "assistant", "status": "completed", "content": "bye"},
        ]
    )
    texts = [s.text for s in found.segments[1:]]
    assert texts[:4] == ["a", "b", "", "hm"]
    assert json.loads(texts[4]) == {"call_id": "c", "name": "f", "arguments": "{}"}
    assert texts[5].startswith("done\n{")
    assert texts[6] == "bye"
    assert [s.media for s in found.segments[1:]] == [0, 0, 1, 0, 0, 0, 0]
    assert [s.verbatim for s in found.segments[1:]] == [True] * 3 + [False] * 4
    assert found.prefilled
    assert found.needs == {"vision"}


def test_only_functions_are_tools() -> None:
    found = facts("hi", tools=[FUNCTION, {"type": "web_search"}, 5])
    assert json.loads(found.segments[0].text) == {
        "tools": [{"type": "function", "function": FUNCTION}]
    }
    assert found.needs == {"tools"}
    assert not facts("hi", tools=[{"type": "web_search"}]).needs


def test_tools_that_are_no_list_are_the_engine_s_business() -> None:
    assert facts("hi", tools={"a": 1}).segments[0].text


@pytest.mark.parametrize(
    ("fields", "output"),
    [({}, None), ({"max_output_tokens": 7}, 7), ({"max_tokens": 9, "max_output_tokens": 7}, 9)],
)
def test_the_output(fields: dict[str, Any], output: int | None) -> None:
    assert facts("hi", **fields).max_output == output


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({}, "'input' must be a string or an array, not null.", "input"),
        ({"input": 5}, "'input' must be a string or an array, not a number.", "input"),
        ({"input": []}, "'input' must hold at least one message.", "input"),
        ({"input": ["sEcReT"]}, "'input[0]' must be an object, not a string.", "input[0]"),
        (
            {"input": [{"role": "user", "content": 5}]},
            "'input[0].content' must be a string or an array of parts, not a number.",
            "input[0].content",
        ),
        (
            {"input": [{"output": {}}]},
            "'input[0].output' must be a string or an array of parts, not an object.",
            "input[0].output",
        ),
        (
            {"input": "a", "instructions": ["sEcReT"]},
            "'instructions' must be a string, not an array.",
            "instructions",
        ),
    ],
)
def test_what_cannot_be_sized(fields: dict[str, Any], told: str, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(endpoints.RESPONSES, json.dumps(fields).encode())
    assert (caught.value.message, caught.value.param) == (told, param)
