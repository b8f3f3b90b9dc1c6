"""server/codecs/responses/request.py: what was asked for, and the chat for the engine."""

from __future__ import annotations

from typing import Any

import pytest

from server.codecs.responses.items import input_items
from server.codecs.responses.request import chat_of, read_request, shorter
from utils.errors import BadRequest

HELLO = {"role": "user", "content": "hello"}


def chat(**request: Any) -> dict[str, Any]:
    return chat_of(read_request({"input": "hello", **request}), [])


def test_a_small_request() -> None:
    asked = read_request({"input": "hello"})
    assert (asked.store, asked.background, asked.stream) == (True, False, False)
    assert chat_of(asked, []) == {"messages": [HELLO], "stream": False}


def test_fields_are_those_of_a_chat() -> None:
    made = chat(
        model="m",
        max_output_tokens=7,
        temperature=0.5,
        top_logprobs=2,
        stream=True,
        instructions="Be brief.",
        reasoning={"effort": "xhigh", "summary": "auto"},
        text={"format": {"type": "json_object"}, "verbosity": "low"},
        metadata={"a": "b"},
        user="u",
        truncation="auto",
        top_k=3,
        keep_alive="5m",
    )
    assert made == {
        "model": "m",
        "max_tokens": 7,
        "temperature": 0.5,
        "logprobs": True,
        "top_logprobs": 2,
        "stream": True,
        "stream_options": {"include_usage": True},
        "chat_template_kwargs": {"reasoning_effort": "high"},
        "response_format": {"type": "json_object"},
        "messages": [{"role": "system", "content": "Be brief."}, HELLO],
        "top_k": 3,
        "keep_alive": "5m",
    }


def test_what_the_engine_is_not_told() -> None:
    wanted = chat(
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        reasoning={"effort": "none"},
        chat_template_kwargs={"a": 1},
    )
    assert wanted["top_logprobs"] == 0
    assert wanted["chat_template_kwargs"] == {"enable_thinking": False, "a": 1}
    assert "include" not in wanted
    assert chat(background=True)["stream"] is True


def test_what_was_said_before_comes_first() -> None:
    earlier = input_items([HELLO, {"role": "assistant", "content": "hi"}])
    made = chat_of(read_request({"input": "and?", "previous_response_id": "resp_1"}), earlier)
    assert [message["content"] for message in made["messages"]] == ["hello", "hi", "and?"]


def test_the_response_tells_again_what_was_asked_for() -> None:
    tool = {"type": "function", "name": "f"}
    form = {"type": "json_schema", "name": "n", "schema": {}}
    told = read_request(
        {
            "input": "a",
            "tools": [tool],
            "tool_choice": "none",
            "parallel_tool_calls": False,
            "text": {"format": form},
            "metadata": {"a": "b"},
            "reasoning": {"effort": "low"},
            "conversation": {"id": "conv_1"},
        }
    ).told
    assert told["tools"] == [{**tool, "description": None, "parameters": None, "strict": None}]
    assert (told["tool_choice"], told["parallel_tool_calls"]) == ("none", False)
    assert told["text"]["format"]["name"] == "n"
    assert told["metadata"] == {"a": "b"}
    assert told["reasoning"] == {"effort": "low", "summary": None}
    usual = read_request({"input": "a", "text": {"format": None}}).told
    assert usual["text"] == {"format": {"type": "text"}}
    assert (usual["tool_choice"], usual["tools"], usual["store"]) == ("auto", [], True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"previous_response_id": "r", "conversation": "c"}, "previous_response_id"),
        ({"previous_response_id": 3}, "previous_response_id"),
        ({"conversation": 3}, "conversation"),
        ({"conversation": {}}, "conversation"),
        ({"background": True, "store": False}, "background"),
        ({"background": 1}, "background"),
        ({"store": "yes"}, "store"),
        ({"stream": "yes"}, "stream"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"instructions": ["a"]}, "instructions"),
        ({"truncation": "always"}, "truncation"),
        ({"include": "all"}, "include"),
        ({"include": ["reasoning.encrypted_content", "all"]}, "include[1]"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 1.5}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"max_tool_calls": -1}, "max_tool_calls"),
        ({"reasoning": "low"}, "reasoning"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a" * 65: "b"}}, "metadata"),
        ({"metadata": {"a": "b" * 513}}, "metadata"),
        ({"metadata": {str(n): "b" for n in range(17)}}, "metadata"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": True}, "top_p"),
        ({"user": 3}, "user"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"model": 3}, "model"),
    ],
)
def test_a_fault_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as fault:
        chat(**fields)
    assert fault.value.param == param


def test_only_a_turn_needs_no_input_of_its_own() -> None:
    asked = read_request({"previous_response_id": "r"})
    assert asked.items == ()
    with pytest.raises(BadRequest):
        chat_of(asked, [])


def test_the_oldest_messages_are_left_out() -> None:
    system = {"role": "system", "content": "s"}
    turns = [
        each
        for n in range(4)
        for each in (
            {"role": "user", "content": f"{n}" * 100},
            {"role": "assistant", "content": "a" * 100},
        )
    ]
    talk = [system, *turns, {"role": "user", "content": "end"}]
    kept = shorter(talk, 1000, 700)
    assert kept is not None
    assert kept[0] == system
    assert kept[1]["role"] == "user"
    assert kept[-1] == talk[-1]
    assert 3 < len(kept) < len(talk)
    assert shorter(talk, 1000, 1) == [system, talk[-1]]
    assert shorter(talk[1:], 1000, 1) == [talk[-1]]
    assert shorter([system, talk[-1]], 1000, 1) is None
    assert shorter([talk[-1]], 1000, 1) is None
