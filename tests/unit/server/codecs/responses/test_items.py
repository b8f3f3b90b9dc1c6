"""server/codecs/responses/items.py: what was said becomes the messages of a chat."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from server.codecs.responses.items import input_items, messages_of, seal
from utils.errors import BadRequest

CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
DONE = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
THOUGHTS = {
    "type": "reasoning",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "hm"}],
}


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def chat(value: Any, instructions: str | None = None) -> list[Any]:
    return messages_of(instructions, input_items(value))


def test_a_text_is_a_message_of_the_user() -> None:
    assert chat("hello") == [said("user", "hello")]
    [item] = input_items("hello")
    assert item["content"] == [{"type": "input_text", "text": "hello"}]
    assert item["id"].startswith("msg_")


def test_items_keep_their_ids_and_get_those_they_lack() -> None:
    items = input_items([said("user", "a") | {"id": "msg_1"}, CALL, DONE, THOUGHTS])
    assert items[0]["id"] == "msg_1"
    assert [item["id"].split("_")[0] for item in items[1:]] == ["fc", "fc", "rs"]


def test_thoughts_text_and_calls_of_one_answer_are_one_message() -> None:
    items = [
        said("user", "weather?"),
        THOUGHTS,
        said("assistant", "let me see"),
        CALL,
        {**CALL, "call_id": "c2"},
        DONE,
        said("assistant", "sunny"),
    ]
    assert chat(items) == [
        said("user", "weather?"),
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "content": "let me see",
            "tool_calls": [CHAT_CALL, {**CHAT_CALL, "id": "c2"}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        said("assistant", "sunny"),
    ]
    assert chat([CALL]) == [{"role": "assistant", "content": None, "tool_calls": [CHAT_CALL]}]
    assert len(chat([said("assistant", "a"), said("assistant", "b")])) == 2
    assert len(chat([CALL, THOUGHTS, CALL])) == 2


def test_a_later_turn_begins_with_the_messages_of_the_earlier() -> None:
    turns = [said("user", "a"), THOUGHTS, CALL, DONE, said("assistant", "b"), said("user", "c")]
    messages = chat(turns, "Be brief.")
    for end in (1, 4, 6):
        assert messages[: len(chat(turns[:end], "Be brief."))] == chat(turns[:end], "Be brief.")


def test_what_the_system_says_first_is_one_message() -> None:
    items = [said("developer", "b"), said("system", "c"), said("user", "d"), said("system", "e")]
    assert chat(items, "a") == [
        said("system", "a\n\nb\n\nc"),
        said("user", "d"),
        said("system", "e"),
    ]
    assert chat(items[:2]) == [said("system", "b\n\nc")]


def test_a_custom_tool_is_a_function_with_a_text() -> None:
    items = [
        {"type": "custom_tool_call", "call_id": "c1", "name": "sh", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "a b"},
    ]
    call, done = chat(items)
    assert call["tool_calls"][0]["function"] == {"name": "sh", "arguments": '{"input":"ls"}'}
    assert done == {"role": "tool", "tool_call_id": "c1", "content": "a b"}


def test_a_call_in_a_namespace_has_its_name_in_the_chat() -> None:
    [message] = chat([{**CALL, "namespace": "n"}])
    assert message["tool_calls"][0]["function"]["name"] == "n__f"


def test_parts_are_those_of_a_chat() -> None:
    data = base64.b64encode("größe".encode()).decode()
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;base64,{data}"},
        {"type": "input_file", "file_data": data},
    ]
    [message] = chat([{"role": "user", "content": parts}])
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "text", "text": "a.txt:\ngröße"},
        {"type": "text", "text": "größe"},
    ]
    output = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    [told] = chat([{**DONE, "output": output}])
    assert [part["text"] for part in told["content"]] == ["a", "b"]
    assert chat([{**DONE, "output": []}])[0]["content"] == ""
    refusal = [{"type": "refusal", "refusal": "no"}, {"type": "output_text", "text": "!"}]
    assert chat([said("assistant", "") | {"content": refusal}]) == [said("assistant", "no!")]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"content": [{"type": "reasoning_text", "text": "a"}]}, "a"),
        ({"summary": [{"type": "summary_text", "text": "b"}]}, "b"),
        ({"encrypted_content": seal("größe")}, "größe"),
        ({"encrypted_content": "of another service"}, None),
        ({"encrypted_content": base64.b64encode(b"\xff").decode()}, None),
        ({"encrypted_content": base64.b64encode(b"other").decode()}, None),
        ({}, None),
    ],
)
def test_thoughts_are_read_where_they_stand(fields: dict[str, Any], text: str | None) -> None:
    messages = chat([{"type": "reasoning", "summary": [], **fields}, said("user", "hi")])
    expected = [] if text is None else [{"role": "assistant", "reasoning_content": text}]
    assert messages == [*expected, said("user", "hi")]


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (3, "input"),
        (["a"], "input[0]"),
        ([{}], "input[0].type"),
        ([{"type": "web_search_call", "id": "ws_1"}], "input[0].type"),
        ([{"role": "robot", "content": "a"}], "input[0].role"),
        ([{"role": "user", "content": 3}], "input[0].content"),
        ([{"role": "user", "content": ["a"]}], "input[0].content[0]"),
        ([{"role": "user", "content": [{"type": "input_video"}]}], "input[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        ([{"role": "assistant", "content": [{"type": "input_image"}]}], "input[0].content[0]"),
        (
            [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}],
            "input[0].content[0].file_id",
        ),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_url": "http://x"}]}],
            "input[0].content[0].file_url",
        ),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "input_file", "file_data": "data:image/png,A"}],
                }
            ],
            "input[0].content[0].file_data",
        ),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_data": "no base64"}]}],
            "input[0].content[0].file_data",
        ),
        ([{**CALL, "arguments": {}}], "input[0].arguments"),
        ([{**CALL, "call_id": None}], "input[0].call_id"),
        ([{**DONE, "output": 3}], "input[0].output"),
        ([{"type": "item_reference", "id": 3}], "input[0].id"),
        ([{"type": "item_reference", "id": "msg_1"}], "input[0]"),
    ],
)
def test_a_fault_is_named(value: Any, param: str) -> None:
    with pytest.raises(BadRequest) as fault:
        chat(value)
    assert fault.value.param == param
