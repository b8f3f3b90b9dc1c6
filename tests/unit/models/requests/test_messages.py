"""models/requests/messages.py: requests in Anthropic's shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_values import ANY_JSON

from models.requests import endpoints
from models.requests.reader import RequestFacts, parse
from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint

TOOL = {"name": "f", "description": "does", "input_schema": {"type": "object"}}


def facts(*said: Any, **fields: Any) -> RequestFacts:
    messages = [{"role": "user", "content": m} if isinstance(m, str) else m for m in said]
    return parse(endpoints.MESSAGES, json.dumps({"messages": messages, **fields}).encode())


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_a_system_prompt_is_a_message_of_its_own() -> None:
    for system in ("Be brief.", [text("Be brief.")]):
        found = facts("hi", system=system)
        assert [(s.text, s.verbatim) for s in found.segments] == [
            ("", True),
            ("Be brief.", True),
            ("hi", True),
        ]


def test_a_header_that_changes_is_not_counted_to_the_letter() -> None:
    assert not facts("hi", system="x-header: cch=a5145;").segments[1].verbatim


def test_tools_are_printed_in_openai_s_form() -> None:
    found = facts("hi", tools=[TOOL], chat_template_kwargs={"a": 1})
    function = {"name": "f", "description": "does", "parameters": {"type": "object"}}
    assert json.loads(found.segments[0].text) == {
        "tools": [{"type": "function", "function": function}],
        "chat_template_kwargs": {"a": 1},
    }
    assert found.needs == {"tools"}
    assert not found.segments[0].verbatim


def test_results_are_messages_of_their_own() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "AAAA"}}
    found = facts(
        "go",
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "AAAA"},
                text("calling"),
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "b"}},
            ],
        },
        user(
            {"type": "tool_result", "tool_use_id": "t1", "content": "done"},
            {"type": "tool_result", "tool_use_id": "t2", "content": [text("ok"), image]},
            {"type": "tool_result", "tool_use_id": "t3"},
            text("and"),
            image,
        ),
    )
    texts = [s.text for s in found.segments]
    assert texts[2].startswith("hm\ncalling{")
    assert json.loads(texts[2].removeprefix("hm\ncalling")) == {
        "tool_calls": [
            {
                "id": "t1",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a": "b"}'},
            }
        ]
    }
    assert texts[3:] == ["and", "done", "ok", ""]
    assert [s.media for s in found.segments[3:]] == [1, 0, 1, 0]
    assert [s.verbatim for s in found.segments[1:]] == [True, False, True, False, False, False]
    assert found.needs == {"vision"}


def test_blocks_that_an_engine_leaves_out_have_no_text() -> None:
    found = facts(user(text("a"), {"type": "document", "source": {"data": "A" * 99}}))
    assert found.segments[1].text == "a\n"


@pytest.mark.parametrize(("fields", "output"), [({}, 4096), ({"max_tokens": 7}, 7)])
def test_the_output(fields: dict[str, Any], output: int) -> None:
    assert facts("hi", n_predict=1, **fields).max_output == output


def test_an_answer_at_the_end_is_continued() -> None:
    assert facts("a", {"role": "assistant", "content": "b"}).prefilled
    assert not facts("a").prefilled


def test_the_same_words_of_a_chat_are_told_apart() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
    assert (
        len({parse(k, body).segments[-1].digest for k in (endpoints.CHAT, endpoints.MESSAGES)}) == 2
    )


def test_each_segment_has_a_digest_of_its_own() -> None:
    result = {"type": "tool_result", "content": "x"}
    digests = [s.digest for s in facts("a", user(result, result), "b").segments]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("fields", "told", "param"),
    [
        ({}, "'messages' must be an array, not null.", "messages"),
        ({"messages": []}, "'messages' must hold at least one message.", "messages"),
        ({"messages": [1]}, "'messages[0]' must be an object, not a number.", "messages[0]"),
        (
            {"messages": [{"content": 5}]},
            "'messages[0].content' must be a string or an array of parts, not a number.",
            "messages[0].content",
        ),
        (
            {"messages": [{"content": [text("sEcReT"), 5]}]},
            "'messages[0].content[1]' must be an object, not a number.",
            "messages[0].content[1]",
        ),
        (
            {"messages": [user({"type": "tool_result", "content": 5})]},
            "'messages[0].content[0].content' must be a string or an array of parts, not a number.",
            "messages[0].content[0].content",
        ),
        (
            {"messages": [user()], "system": 5},
            "'system' must be a string or an array of parts, not a number.",
            "system",
        ),
        (
            {"messages": [user()], "tools": {"sEcReT": 1}},
            "'tools' must be an array, not an object.",
            "tools",
        ),
        (
            {"messages": [user()], "tools": ["sEcReT"]},
            "'tools[0]' must be an object, not a string.",
            "tools[0]",
        ),
    ],
)
def test_what_cannot_be_sized(fields: dict[str, Any], told: str, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(endpoints.MESSAGES, json.dumps(fields).encode())
    assert (caught.value.message, caught.value.param) == (told, param)


@settings(max_examples=3 * settings().max_examples)
@given(
    kind=st.sampled_from([endpoints.MESSAGES, endpoints.CHAT]),
    field=st.sampled_from(["messages", "input", "content", "system", "tools", "output"]),
    value=ANY_JSON,
)
def test_nothing_but_bad_request_comes_of_any_body(kind: Endpoint, field: str, value: Any) -> None:
    base: dict[str, Any] = {"messages": [{"role": "user", "content": "a"}], "input": "a"}
    inner = {"role": "user", "content": [value], field: value}
    for body in (base | {field: value}, {"messages": [inner], "input": [inner]}):
        try:
            assert parse(kind, json.dumps(body, allow_nan=False).encode()).segments
        except BadRequest as error:
            assert error.message
        except ValueError:  # NaN is no JSON
            continue
