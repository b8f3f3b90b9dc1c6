"""The tools of the Responses API as those of a chat, and the format of its text. Pure.

Tools that a service would run itself (a search of the web, of files) do not exist here and are
refused by name. A custom tool becomes a function with one text, a tool in a namespace one whose
name begins with that of the namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from models.requests.fields import Json, named
from server.codecs.responses.pattern import UnknownPatternError, pattern_of
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHOICES = ("none", "auto", "required")


class Named(NamedTuple):
    """A tool as the client knows it, whatever the chat calls it."""

    name: str
    namespace: str | None = None
    custom: bool = False


class Tools(NamedTuple):
    """What a chat is told of tools: ``fields`` of it. ``known`` are the tools by their names there.

    Functions of no namespace need not be known.
    """

    fields: Json
    known: Mapping[str, Named]


def tools_of(request: Json) -> Tools:
    """Return the tools of a request, and which the model may or must call; raise BadRequest."""
    given = request.get("tools")
    if given is None:
        given = []
    if not isinstance(given, list):
        raise BadRequest(f"'tools' must be an array, not {named(given)}.", param="tools")
    made = [each for at, tool in enumerate(given) for each in _made(tool, f"tools[{at}]")]
    tools = [tool for tool, _ in made]
    known = {tool["function"]["name"]: own for tool, own in made if own.custom or own.namespace}
    names = {tool["function"]["name"] for tool in tools}
    choice, allowed = _choice(request.get("tool_choice"), names)
    if allowed is not None:
        tools = [tool for tool in tools if tool["function"]["name"] in allowed]
    fields: Json = {}
    if tools:
        fields["tools"] = tools
        if choice is not None:
            fields["tool_choice"] = choice
        if isinstance(parallel := request.get("parallel_tool_calls"), bool):
            fields["parallel_tool_calls"] = parallel
    elif choice == "required":
        raise BadRequest("'tool_choice' requires a tool, and there is none.", param="tool_choice")
    return Tools(fields, known)


def chat_name(name: str, namespace: object) -> str:
    """Return the name that a chat has for a tool, which may be in a namespace."""
    return f"{namespace}__{name}" if isinstance(namespace, str) and namespace else name


def format_of(request: Json) -> Json:
    """Return the ``response_format`` of a chat for the format in ``text``; raise BadRequest."""
    text = request.get("text")
    if text is None:
        return {}
    if not isinstance(text, dict):
        raise BadRequest(f"'text' must be an object, not {named(text)}.", param="text")
    wanted = text.get("format")
    if wanted is None:
        return {}
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    if kind != "json_schema":
        raise BadRequest(
            "'text.format.type' must be one of text, json_object, json_schema.",
            param="text.format.type",
        )
    if not isinstance(wanted.get("schema"), dict):
        raise BadRequest("'text.format.schema' must be an object.", param="text.format.schema")
    known = ("name", "description", "schema", "strict")
    schema = {name: wanted[name] for name in known if wanted.get(name) is not None}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _made(tool: Any, where: str) -> Iterator[tuple[Json, Named]]:  # noqa: ANN401 - decoded JSON
    """Yield the chat's tools for one tool, or for those of a namespace."""
    if not isinstance(tool, dict) or tool.get("type") != "namespace":
        made = _tool(tool, where)
        yield made, Named(tool["name"], custom=tool["type"] == "custom")
        return
    inner, space = tool.get("tools"), tool.get("name")
    if not isinstance(space, str) or not space or not isinstance(inner, list):
        raise BadRequest(f"'{where}' needs 'name' and 'tools'.", param=where)
    for at, each in enumerate(inner):
        made = _tool(each, f"{where}.tools[{at}]")
        made["function"]["name"] = chat_name(each["name"], space)
        yield made, Named(each["name"], space, each["type"] == "custom")


def _tool(tool: Any, where: str) -> Json:  # noqa: ANN401 - decoded JSON
    if not isinstance(tool, dict):
        raise BadRequest(f"'{where}' must be an object, not {named(tool)}.", param=where)
    kind = tool.get("type")
    if kind not in ("function", "custom"):
        shown = f"'{kind[:40]}'" if isinstance(kind, str) else "without a type"
        raise BadRequest(
            f"'{where}' is a tool {shown}, which does not exist here: only functions and custom"
            " tools, which the client runs. Leave it out of 'tools'.",
            param=f"{where}.type",
        )
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise BadRequest(f"'{where}.name' must be a string.", param=f"{where}.name")
    if kind == "custom":
        return _custom(tool, where)
    function: Json = {"name": tool["name"]}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("parameters") or {"type": "object", "properties": {}}
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _custom(tool: Json, where: str) -> Json:
    parameters = {
        "type": "object",
        "properties": {"input": {"type": "string", **_grammar(tool.get("format"), where)}},
        "required": ["input"],
        "additionalProperties": False,
    }
    function: Json = {"name": tool["name"]}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    return {"type": "function", "function": function | {"parameters": parameters}}


def _grammar(form: Any, where: str) -> Json:  # noqa: ANN401 - decoded JSON
    """Return the schema's fields for a text in this format."""
    kind = form.get("type") if isinstance(form, dict) else None
    if form is None or kind in (None, "text"):
        return {}
    syntax, definition = form.get("syntax"), form.get("definition")
    if kind != "grammar" or syntax != "regex" or not isinstance(definition, str):
        raise BadRequest(
            f"'{where}.format' must be text, or a grammar with the syntax regex: engines cannot"
            " hold a tool to another grammar.",
            param=f"{where}.format",
        )
    try:
        return {"pattern": pattern_of(definition)}
    except UnknownPatternError as error:
        raise BadRequest(
            f"'{where}.format.definition' cannot be obeyed: {error}.",
            param=f"{where}.format.definition",
        ) from None


def _choice(choice: Any, names: set[str]) -> tuple[str | None, set[str] | None]:  # noqa: ANN401 - decoded JSON
    """Return a chat's ``tool_choice``, and the only tools that may be called; None: all of them.

    Engines know no choice of one tool by name: to offer no other comes to the same.
    """
    if choice is None:
        return None, None
    if isinstance(choice, str) and choice in _CHOICES:
        return choice, None
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in ("function", "custom"):
        return "required", {_known(choice, names, "tool_choice.name")}
    if kind == "allowed_tools":
        mode, tools = choice.get("mode", "auto"), choice.get("tools")
        if mode not in ("auto", "required") or not isinstance(tools, list):
            raise BadRequest(
                "'tool_choice' of allowed tools needs 'mode' (auto or required) and 'tools'.",
                param="tool_choice",
            )
        return mode, {
            _known(tool, names, f"tool_choice.tools[{n}]") for n, tool in enumerate(tools)
        }
    raise BadRequest(
        f"'tool_choice' must be one of {', '.join(_CHOICES)}, or name functions, custom tools or"
        " allowed tools: hosted tools do not exist here.",
        param="tool_choice",
    )


def _known(tool: Any, names: set[str], where: str) -> str:  # noqa: ANN401 - decoded JSON
    name = tool.get("name") if isinstance(tool, dict) else None
    known = chat_name(name, tool.get("namespace")) if isinstance(name, str) else None
    if known is None or known not in names:
        raise BadRequest(f"'{where}' must name a tool in 'tools'.", param=where)
    return known
