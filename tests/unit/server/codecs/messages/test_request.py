"""server/codecs/messages/request.py: a request to Anthropic's API as a chat."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import ANY_JSON

from models.requests import endpoints
from models.requests.reader import parse
from server.codecs.messages.request import BUDGET, COUNTS, STOPPED_BY, MessagesRequest, read_request
from utils.errors import BadRequest

ALL = frozenset({COUNTS, STOPPED_BY, BUDGET})
HI: Any = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
TOOL = {"name": "f", "description": "does", "input_schema": {"type": "object"}}
FUNCTION = {"name": "f", "description": "does", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {}}


def read(understood: frozenset[str] = ALL, **fields: Any) -> MessagesRequest:
    return read_request(HI | fields, understood)


def chat(**fields: Any) -> Any:
    return read(**fields).chat


def test_a_plain_request() -> None:
    assert chat(model="m") == HI | {"model": "m"}
    assert chat(max_tokens=None)["max_tokens"] == 4096


def test_what_is_for_anthropic_s_service_is_left_out_and_the_rest_passes() -> None:
    own = {
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": []},
        "betas": ["x"],
        "n": 2,
    }
    kept = {"temperature": 0, "top_k": 4, "top_p": 0.5, "seed": 1, "keep_alive": "5m"}
    assert chat(**own, **kept) == HI | kept


def test_a_stream_tells_its_counts() -> None:
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    assert chat(stream=True) == HI | usage | {COUNTS: True}
    assert read(frozenset(), stream=True).chat == HI | usage


def test_sequences() -> None:
    asked = read(stop_sequences=["a", "b"])
    assert asked.stops == ("a", "b")
    assert (asked.chat["stop"], asked.chat[STOPPED_BY]) == (["a", "b"], True)
    assert read(frozenset(), stop_sequences=["a"]).chat == HI | {"stop": ["a"]}
    assert chat(stop_sequences=[]) == HI


def test_tools() -> None:
    strict = {**TOOL, "type": "custom", "strict": True, "cache_control": {}}
    assert chat(tools=[TOOL, strict, {"name": "g"}])["tools"] == [
        {"type": "function", "function": FUNCTION},
        {"type": "function", "function": {**FUNCTION, "strict": True}},
        {"type": "function", "function": {"name": "g", "parameters": SCHEMA}},
    ]


@pytest.mark.parametrize(
    ("choice", "fields"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        (
            {"type": "tool", "name": "f"},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_the_choice_of_a_tool(choice: Any, fields: Any) -> None:
    made = chat(tools=[TOOL], tool_choice=choice)
    del made["tools"]
    assert made == HI | fields


def test_a_choice_without_tools_is_none_or_refused() -> None:
    assert chat(tool_choice={"type": "auto", "disable_parallel_tool_use": True}) == HI
    for kind in ("any", "tool"):
        with pytest.raises(BadRequest):
            chat(tool_choice={"type": kind, "name": "f"})


@pytest.mark.parametrize(
    "fields",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
def test_a_schema(fields: Any) -> None:
    form = chat(**fields)["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("fields", "wishes"),
    [
        ({"thinking": {"type": "disabled"}}, {"chat_template_kwargs": {"enable_thinking": False}}),
        ({"thinking": {"type": "adaptive"}}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, {BUDGET: 2048}),
        (
            {"output_config": {"effort": "max"}},
            {"chat_template_kwargs": {"reasoning_effort": "high"}},
        ),
        ({"output_config": {"effort": None}}, {}),
        (
            {"thinking": {"type": "disabled"}, "chat_template_kwargs": {"enable_thinking": True}},
            {"chat_template_kwargs": {"enable_thinking": True}},
        ),
    ],
)
def test_thoughts(fields: Any, wishes: Any) -> None:
    assert chat(**fields) == HI | wishes


def test_thoughts_may_be_omitted() -> None:
    assert read(thinking={"type": "enabled", "display": "omitted"}).omitted
    assert not read(thinking={"type": "enabled", "display": "summarized"}).omitted


def test_what_the_client_has_begun() -> None:
    said = [*HI["messages"], {"role": "assistant", "content": [{"type": "text", "text": "Once"}]}]
    assert read(messages=said).begun == "Once"
    assert not read().begun


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"stop_sequences": "a"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences"),
        ({"tools": {}}, "tools"),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [{}]}, "tools[0].name"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "x"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"thinking": True}, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": "x"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "x"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_format": {"type": "json_schema"}}, "output_format.schema"),
        ({"chat_template_kwargs": 1}, "chat_template_kwargs"),
        ({"stream": 1}, "stream"),
        ({"model": 1}, "model"),
        ({"messages": []}, "messages"),
    ],
)
def test_faults_name_their_field(fields: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(**fields)
    assert refused.value.param == param


@given(
    fields=st.dictionaries(
        st.sampled_from(
            [
                "tools",
                "tool_choice",
                "thinking",
                "system",
                "output_config",
                "stop_sequences",
                "max_tokens",
                "metadata",
            ]
        ),
        ANY_JSON,
    )
)
def test_whatever_is_asked_is_refused_or_becomes_a_chat(fields: Any) -> None:
    try:
        made = read(**fields).chat
        parse(endpoints.CHAT, json.dumps(made).encode())
    except BadRequest:
        pass
