"""server/codecs/responses/tools.py: tools and formats become those of a chat."""

from __future__ import annotations

from typing import Any

import pytest

from server.codecs.responses.tools import Named, chat_name, format_of, tools_of
from utils.errors import BadRequest

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
F = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
G = {"type": "function", "name": "g"}
C = {"type": "custom", "name": "c", "description": "d", "format": {"type": "text"}}
REGEX = {"type": "grammar", "syntax": "regex", "definition": r"\d+"}
LARK = REGEX | {"syntax": "lark"}


def names(fields: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in fields["tools"]]


def test_tools_are_written_as_a_chat_has_them() -> None:
    fields, known = tools_of({"tools": [F, G, C], "parallel_tool_calls": False})
    f, g, c = fields["tools"]
    told = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
    assert f == {"type": "function", "function": told}
    assert g["function"] == {"name": "g", "parameters": {"type": "object", "properties": {}}}
    assert c["function"]["parameters"]["required"] == ["input"]
    assert known == {"c": Named("c", custom=True)}
    assert fields["parallel_tool_calls"] is False
    assert "tool_choice" not in fields
    assert tools_of({}).fields == tools_of({"tools": [], "tool_choice": "auto"}).fields == {}


def test_a_custom_tool_may_have_a_regular_expression() -> None:
    [tool] = tools_of({"tools": [{**C, "format": REGEX}]}).fields["tools"]
    text = tool["function"]["parameters"]["properties"]["input"]
    assert text == {"type": "string", "pattern": "^([0-9]+)$"}


def test_tools_of_a_namespace_are_tools() -> None:
    space = {"type": "namespace", "name": "files", "description": "d", "tools": [F, C]}
    fields, known = tools_of({"tools": [G, space]})
    assert names(fields) == ["g", "files__f", "files__c"]
    assert known == {
        "files__f": Named("f", "files"),
        "files__c": Named("c", "files", custom=True),
    }
    assert chat_name("f", "files") == "files__f"
    assert chat_name("f", None) == "f"
    choice = {"type": "function", "name": "f", "namespace": "files"}
    assert names(tools_of({"tools": [G, space], "tool_choice": choice}).fields) == ["files__f"]
    assert F["name"] == "f"


@pytest.mark.parametrize(
    ("choice", "word", "offered"),
    [
        ("none", "none", ["f", "g", "c"]),
        ("auto", "auto", ["f", "g", "c"]),
        ("required", "required", ["f", "g", "c"]),
        ({"type": "function", "name": "g"}, "required", ["g"]),
        ({"type": "custom", "name": "c"}, "required", ["c"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [G]}, "auto", ["g"]),
        ({"type": "allowed_tools", "mode": "required", "tools": [F, C]}, "required", ["f", "c"]),
    ],
)
def test_a_choice_is_obeyed(choice: Any, word: str, offered: list[str]) -> None:
    fields = tools_of({"tools": [F, G, C], "tool_choice": choice}).fields
    assert (fields["tool_choice"], names(fields)) == (word, offered)


@pytest.mark.parametrize(
    ("request_", "param", "said"),
    [
        ({"tools": 3}, "tools", "array"),
        ({"tools": [3]}, "tools[0]", "object"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "web_search"),
        ({"tools": [G, {"type": "file_search"}]}, "tools[1].type", "file_search"),
        ({"tools": [{"name": "f"}]}, "tools[0].type", "without a type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "string"),
        ({"tools": [{"type": "namespace", "tools": []}]}, "tools[0]", "name"),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]},
            "tools[0].tools[0].type",
            "mcp",
        ),
        ({"tools": [{**C, "format": {"type": "grammar"}}]}, "tools[0].format", "grammar"),
        ({"tools": [{**C, "format": LARK}]}, "tools[0].format", "regex"),
        (
            {"tools": [{**C, "format": REGEX | {"definition": "("}}]},
            "tools[0].format.definition",
            "obeyed",
        ),
        ({"tool_choice": "required"}, "tool_choice", "none"),
        ({"tools": [F], "tool_choice": "always"}, "tool_choice", "required"),
        ({"tools": [F], "tool_choice": {"type": "web_search"}}, "tool_choice", "hosted"),
        (
            {"tools": [F], "tool_choice": {"type": "function", "name": "x"}},
            "tool_choice.name",
            "name a tool",
        ),
        ({"tools": [F], "tool_choice": {"type": "allowed_tools"}}, "tool_choice", "mode"),
        (
            {"tools": [F], "tool_choice": {"type": "allowed_tools", "tools": [G]}},
            "tool_choice.tools[0]",
            "name a tool",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(request_: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said) as fault:
        tools_of(request_)
    assert fault.value.param == param


def test_a_format_is_that_of_a_chat() -> None:
    form = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}
    wanted = {"name": "n", "schema": SCHEMA, "strict": True}
    assert format_of({"text": {"format": form}}) == {
        "response_format": {"type": "json_schema", "json_schema": wanted}
    }
    assert format_of({"text": {"format": {"type": "json_object"}}}) == {
        "response_format": {"type": "json_object"}
    }
    texts: list[dict[str, Any]]
    texts = [{}, {"text": None}, {"text": {}}, {"text": {"format": {"type": "text"}}}]
    for text in texts:
        assert format_of(text) == {}


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (3, "text"),
        ({"format": 3}, "text.format.type"),
        ({"format": {"type": "xml"}}, "text.format.type"),
        ({"format": {"type": "json_schema"}}, "text.format.schema"),
    ],
)
def test_a_format_that_is_none_is_refused(text: Any, param: str) -> None:
    with pytest.raises(BadRequest) as fault:
        format_of({"text": text})
    assert fault.value.param == param
