"""server/codecs/messages/blocks.py: Anthropic's messages as those of a chat."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from json_values import ANY_JSON

from server.codecs.messages.blocks import chat_messages, sealed
from utils.errors import BadRequest

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said, "cache_control": {"type": "ephemeral"}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def chat(*said: Any, **fields: Any) -> list[Any]:
    messages = [{"role": "user", "content": m} if isinstance(m, str) else m for m in said]
    return chat_messages({"messages": messages, **fields})


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("Be brief.", "Be brief."),
        ([text("You are an agent."), text("Be brief.")], "You are an agent.\n\nBe brief."),
        ("x-anthropic-billing-header: cc_version=2.1.0d9; cch=a5145;You are", "You are"),
        ([text("x-anthropic-billing-header: a=1; cch=00000;"), text("You are")], "You are"),
    ],
)
def test_the_system_prompt(system: Any, said: str) -> None:
    assert chat("hi", system=system)[0] == {"role": "system", "content": said}


@pytest.mark.parametrize("system", [None, "", [], [text("")]])
def test_no_system_prompt(system: Any) -> None:
    assert chat("hi", system=system) == [{"role": "user", "content": "hi"}]


def test_texts_become_one_text() -> None:
    assert chat(user(text("a"), text("b")), assistant(text("c"), text("d"))) == [
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "cd"},
    ]


def test_results_come_before_what_the_user_says() -> None:
    said = chat(
        "go",
        assistant(
            {"type": "thinking", "thinking": "hm", "signature": "AAAA"},
            {"type": "redacted_thinking", "data": "AAAA"},
            text("calling"),
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "ü"}},
            {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
        ),
        user(
            text("and"),
            {"type": "tool_result", "tool_use_id": "t1", "content": "done", "is_error": True},
            {"type": "tool_result", "tool_use_id": "t2", "content": [text("ok"), IMAGE]},
        ),
        user({"type": "tool_result", "tool_use_id": "t3"}),
    )
    assert said[1] == {
        "role": "assistant",
        "content": "calling",
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":"ü"}'}},
            {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }
    assert said[2:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "done"},
        {
            "role": "tool",
            "tool_call_id": "t2",
            "content": [{"type": "text", "text": "ok"}, PICTURE],
        },
        {"role": "user", "content": "and"},
        {"role": "tool", "tool_call_id": "t3", "content": ""},
    ]


def test_media_and_documents() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    by_url = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}
    document = {"type": "document", "source": {"type": "text", "data": "words"}}
    [said] = chat(user(document, IMAGE, by_url, sound))
    assert said["content"] == [
        {"type": "text", "text": "words"},
        PICTURE,
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        sound,
    ]
    found = {"type": "search_result", "title": "T", "source": "S", "content": [text("a")]}
    [said] = chat(user(found, {"type": "tool_reference", "tool_name": "f"}))
    assert said["content"] == "T\nS\na\nThe tool f can be called."


def test_thoughts_that_a_client_keeps_come_back() -> None:
    block = {"type": "thinking", "thinking": "", "signature": sealed("hm, ü")}
    assert chat("a", assistant(block))[1]["reasoning_content"] == "hm, ü"
    for signature in ("AAAA", "EqQBCkYIBxgC", "ü", None, sealed("")):
        other = {"type": "thinking", "thinking": "", "signature": signature}
        assert "reasoning_content" not in chat("a", assistant(other, text("b")))[1]


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"role": "user", "content": 1}, "messages[0].content"),
        ({"role": 1, "content": "a"}, "messages[0].role"),
        (user(1), "messages[0].content[0]"),
        (user({"type": "text"}), "messages[0].content[0].text"),
        (user({"type": "image"}), "messages[0].content[0].source"),
        (user({"type": "image", "source": {"type": "file"}}), "messages[0].content[0].source"),
        (user({"type": "image", "source": {"type": "url"}}), "messages[0].content[0].source.url"),
        (user({"type": "input_audio"}), "messages[0].content[0].input_audio"),
        (user({"type": "server_tool_use"}), "messages[0].content[0].type"),
        (user({}), "messages[0].content[0].type"),
        (user({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        (
            user({"type": "tool_result", "tool_use_id": "t", "content": 1}),
            "messages[0].content[0].content",
        ),
        (
            user({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "x"}]}),
            "messages[0].content[0].content[0].type",
        ),
        (
            user({"type": "tool_use", "id": "t", "name": "f", "input": []}),
            "messages[0].content[0].input",
        ),
        (user({"type": "tool_use", "name": "f"}), "messages[0].content[0].id"),
        (user({"type": "document", "source": {}}), "messages[0].content[0].source"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(said: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        chat_messages({"messages": [said]})
    assert refused.value.param == param


@pytest.mark.parametrize("system", [1, {}, [1], [{"type": "text"}]])
def test_a_bad_system_prompt_is_refused(system: Any) -> None:
    with pytest.raises(BadRequest, match="system"):
        chat("hi", system=system)


@given(content=ANY_JSON)
def test_whatever_a_message_holds_is_read_or_refused(content: Any) -> None:
    try:
        said = chat_messages({"messages": [{"role": "user", "content": content}]})
    except BadRequest:
        return
    assert json.dumps(said)
