"""engine/llamacpp/requests.py: nothing in a request is ignored by llama-server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from builders import variant

from engine.llamacpp.requests import fitted
from models.requests.endpoints import AUXILIARY, CHAT, COMPLETION, EMBEDDINGS, MESSAGES, Endpoint
from utils.errors import BadRequest


def chat_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}}


def said(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


VARIANT = variant()
TEXT = {"type": "text", "text": "a"}


@pytest.mark.parametrize(
    ("endpoint", "request_", "param"),
    [
        (CHAT, {"functions": [{"name": "f"}]}, "functions"),
        (CHAT, {"function_call": "auto"}, "function_call"),
        (CHAT, {"modalities": ["text", "audio"]}, "modalities"),
        (CHAT, {"audio": {"voice": "x"}}, "audio"),
        (CHAT, {"web_search_options": {}}, "web_search_options"),
        (CHAT, {"stop": 5}, "stop"),
        (CHAT, {"logit_bias": "x"}, "logit_bias"),
        (CHAT, {"chat_template_kwargs": 5}, "chat_template_kwargs"),
        (CHAT, {"tools": [chat_tool("f"), {"type": "custom"}]}, "tools[1].type"),
        (CHAT, {"tool_choice": "required"}, "tool_choice"),
        (CHAT, {"tools": [], "tool_choice": chat_tool("f")}, "tool_choice"),
        (CHAT, {"tools": [chat_tool("f")], "tool_choice": chat_tool("g")}, "tool_choice"),
        (CHAT, {"tools": [chat_tool("f")], "tool_choice": {"type": "custom"}}, "tool_choice"),
        (COMPLETION, {"suffix": "x"}, "suffix"),
        (COMPLETION, {"echo": True}, "echo"),
        (COMPLETION, {"best_of": 3}, "best_of"),
        (MESSAGES, {"mcp_servers": [{}]}, "mcp_servers"),
        (MESSAGES, {"output_config": {"format": {"type": "json_schema"}}}, "output_config.format"),
        (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "w"}]}, "tools[0].type"),
        (MESSAGES, {"tool_choice": {"type": "any"}}, "tool_choice"),
        (MESSAGES, {"tools": [tool("f")], "tool_choice": {"type": "odd"}}, "tool_choice"),
        (MESSAGES, said(TEXT, {"type": "odd"}), "messages[0].content[1].type"),
        (
            MESSAGES,
            said({"type": "document", "source": {"type": "base64", "data": "x"}}),
            "messages[0].content[0].source",
        ),
        (
            MESSAGES,
            said({"type": "tool_result", "content": [{"type": "odd"}]}),
            "messages[0].content[0].content[0].type",
        ),
    ],
)
def test_what_would_be_ignored_is_refused_by_name(
    endpoint: Endpoint, request_: dict[str, Any], param: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        fitted(VARIANT, endpoint, request_)
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize(
    ("endpoint", "request_"),
    [
        (CHAT, {"messages": [], "user": "x", "service_tier": "auto", "store": True}),
        (CHAT, {"stop": ["a"], "logit_bias": {"1": 2}, "modalities": ["text"]}),
        (CHAT, {"tools": [chat_tool("f")], "tool_choice": "required"}),
        (CHAT, {"tools": [chat_tool("f")], "tool_choice": "auto", "functions": []}),
        (CHAT, {"tool_choice": "none", "audio": None}),
        (COMPLETION, {"n": 2, "best_of": 2, "echo": False, "suffix": ""}),
        (MESSAGES, {"output_config": {"effort": "low"}, "thinking": {"type": "enabled"}}),
        (MESSAGES, {"tools": [tool("f"), {"type": "custom"}], "tool_choice": {"type": "any"}}),
        (MESSAGES, {"tools": [], "tool_choice": {"type": "auto"}}),
        (MESSAGES, {"messages": [{"role": "user", "content": "a"}, 5], "tools": 5}),
        (MESSAGES, said(TEXT, {"type": "thinking"}, {"type": "tool_result", "content": "x"}, 5)),
        (EMBEDDINGS, {"input": "a", "audio": {}}),
    ],
)
def test_other_requests_stay_as_they_are(endpoint: Endpoint, request_: dict[str, Any]) -> None:
    before = copy.deepcopy(request_)
    assert not fitted(VARIANT, endpoint, request_)
    assert request_ == before


@pytest.mark.parametrize(
    ("choice", "names", "mode"),
    [
        (chat_tool("g"), ["g"], "required"),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [chat_tool("h"), chat_tool("f")]},
            },
            ["h", "f"],
            "required",
        ),
        ({"type": "allowed_tools", "allowed_tools": {"tools": [chat_tool("f")]}}, ["f"], "auto"),
    ],
)
def test_a_forced_tool_is_the_only_one_offered(choice: Any, names: list[str], mode: str) -> None:
    request = {"tools": [chat_tool(name) for name in "fgh"], "tool_choice": choice}
    assert fitted(VARIANT, CHAT, request)
    assert request == {"tools": [chat_tool(name) for name in names], "tool_choice": mode}


def test_a_tool_may_have_no_description() -> None:
    function: dict[str, Any] = {"name": "f", "description": None, "parameters": {}}
    request: dict[str, Any] = {"tools": [{"type": "function", "function": function}]}
    assert fitted(VARIANT, CHAT, request)
    assert request["tools"][0]["function"] == {"name": "f", "parameters": {}}


def test_a_forced_tool_in_anthropic_s_api() -> None:
    choice = {"type": "tool", "name": "g", "disable_parallel_tool_use": True}
    request = {"tools": [tool("f"), tool("g")], "tool_choice": choice}
    assert fitted(VARIANT, MESSAGES, request)
    assert request["tools"] == [tool("g")]
    assert request["tool_choice"] == {"type": "any", "name": "g", "disable_parallel_tool_use": True}


@pytest.mark.parametrize("endpoint", [MESSAGES, AUXILIARY])
def test_documents_become_text(endpoint: Endpoint) -> None:
    plain = {"type": "document", "source": {"type": "text", "data": "words"}, "title": "T"}
    parts = {"type": "content", "content": [TEXT, {"type": "text", "text": "b"}]}
    several = {"type": "document", "source": parts, "context": "C"}
    whole = {"type": "document", "source": {"type": "content", "content": "c"}}
    found = {"type": "search_result", "title": "S", "source": "url", "content": [TEXT]}
    request = said(TEXT, plain, several, {"type": "tool_result", "content": [whole, found]})
    assert fitted(VARIANT, endpoint, request)
    first, second, third, result = request["messages"][0]["content"]
    assert [first, second, third] == [
        TEXT,
        {"type": "text", "text": "T\nwords"},
        {"type": "text", "text": "C\na\nb"},
    ]
    assert [block["text"] for block in result["content"]] == ["c", "S\nurl\na"]


@pytest.mark.parametrize("endpoint", [MESSAGES, AUXILIARY])
def test_no_thinking_is_an_argument_of_the_template(endpoint: Endpoint) -> None:
    off: dict[str, Any] = {"thinking": {"type": "disabled"}, "chat_template_kwargs": {"a": 1}}
    assert fitted(VARIANT, endpoint, off)
    assert off["chat_template_kwargs"] == {"a": 1, "enable_thinking": False}
    own = {"thinking": {"type": "disabled"}, "chat_template_kwargs": {"enable_thinking": True}}
    assert not fitted(VARIANT, endpoint, own)
    assert not fitted(VARIANT, endpoint, {"thinking": {"type": "enabled", "budget_tokens": 9}})
