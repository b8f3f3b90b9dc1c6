"""Read a request to Anthropic's Messages API, and write the chat that an engine gets for it. Pure.

1. What no engine here can obey is refused by name. What is for Anthropic's own service (marks for
   its cache, service tier, user ids) changes nothing.
2. Fields that are not Anthropic's go to the engine as they are.
3. Some engines tell more of an answer if they are asked to: see ``understood``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from models.requests.chat import tools_of
from models.requests.fields import Json, named
from models.requests.messages import DEFAULT_OUTPUT
from models.requests.reader import model_of, stream_of
from server.codecs.messages.blocks import chat_messages
from utils.errors import BadRequest

# Fields of chats with which engines tell what Anthropic's API promises: the tokens of the prompt
# at the beginning of a stream, and which sequence has ended an answer.
COUNTS = "timings_per_token"
STOPPED_BY = "verbose"
BUDGET = "thinking_budget_tokens"

_REFUSED = {
    "mcp_servers": "connect MCP servers to the client instead",
    "container": "there are no containers here",
}
# Anthropic's fields, and those of a chat that would change how many answers there are.
_OWN = frozenset(
    {
        "anthropic_beta",
        "anthropic_version",
        "betas",
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "inference_geo",
        "mcp_servers",
        "messages",
        "metadata",
        "n",
        "output_config",
        "output_format",
        "service_tier",
        "speed",
        "stop_sequences",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "user_profile_id",
        "workspace_id",
    }
)
# Words that chat templates know, for those that Anthropic has.
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}


class MessagesRequest(NamedTuple):
    """What was asked for.

    ``chat`` is the engine's request. ``stops`` are sequences that end the answer. ``begun``: the
    answer as the client has begun it. ``omitted``: it wants no thoughts, but keeps them.
    """

    chat: Json
    stops: tuple[str, ...]
    begun: str
    omitted: bool


def read_request(request: Json, understood: frozenset[str]) -> MessagesRequest:
    """Return what the request asks for, or raise BadRequest that names the field at fault.

    ``understood`` are the fields beside OpenAI's that the model's engines obey.
    """
    for name, why in _REFUSED.items():
        if request.get(name):
            raise BadRequest(f"'{name}' cannot be obeyed: {why}.", param=name)
    chat = {name: value for name, value in request.items() if name not in _OWN}
    if (model := model_of(request)) is not None:
        chat["model"] = model
    chat["messages"] = chat_messages(request)
    chat |= _tools(request) | _format(request)
    if chat.get("max_tokens") is None:
        chat["max_tokens"] = DEFAULT_OUTPUT
    stops, thinking = _stops(request), _object(request, "thinking")
    if stops:
        chat["stop"] = stops
    if stream_of(request):
        chat["stream_options"] = {"include_usage": True}
    more = {COUNTS: stream_of(request), STOPPED_BY: bool(stops), BUDGET: _budget(thinking)}
    chat |= {name: value for name, value in more.items() if value and name in understood}
    kwargs = {**_wishes(request, thinking), **_object(request, "chat_template_kwargs")}
    if kwargs:
        chat["chat_template_kwargs"] = kwargs
    last = chat["messages"][-1]
    begun = last["content"] if last["role"] == "assistant" else ""
    return MessagesRequest(
        chat,
        tuple(stops),
        begun if isinstance(begun, str) else "",
        thinking.get("display") == "omitted",
    )


def _budget(thinking: Json) -> int | None:
    budget = thinking.get("budget_tokens") if thinking.get("type") == "enabled" else None
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int)):
        raise BadRequest(
            "'thinking.budget_tokens' must be an integer.", param="thinking.budget_tokens"
        )
    return budget


def _wishes(request: Json, thinking: Json) -> Json:
    """Return what the chat template is told of thoughts."""
    if thinking.get("type") == "disabled":
        return {"enable_thinking": False}
    effort = _object(request, "output_config").get("effort")
    if effort is None:
        return {}
    if effort not in _EFFORTS:
        raise BadRequest(
            f"'output_config.effort' must be one of {', '.join(_EFFORTS)}.",
            param="output_config.effort",
        )
    return {"reasoning_effort": _EFFORTS[effort]}


def _stops(request: Json) -> list[str]:
    stops = request.get("stop_sequences")
    if stops is None:
        return []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise BadRequest("'stop_sequences' must be an array of strings.", param="stop_sequences")
    return stops


def _format(request: Json) -> Json:
    place, wanted = "output_format", request.get("output_format")
    if wanted is None:
        place, wanted = "output_config.format", _object(request, "output_config").get("format")
    if wanted is None:
        return {}
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise BadRequest(f"'{place}.type' must be json_schema.", param=f"{place}.type")
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise BadRequest(
            f"'{place}.schema' must be an object, not {named(schema)}.", param=f"{place}.schema"
        )
    form = {"name": "format", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _tools(request: Json) -> Json:
    tools = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools_of(request))]
    fields: Json = {"tools": tools} if tools else {}
    choice = request.get("tool_choice")
    if choice is None:
        return fields
    if not isinstance(choice, dict):
        raise BadRequest(
            f"'tool_choice' must be an object, not {named(choice)}.", param="tool_choice"
        )
    kind = choice.get("type")
    names = {tool["function"]["name"] for tool in tools}
    if kind == "any":
        fields["tool_choice"] = "required"
    elif kind == "tool":
        if choice.get("name") not in names:
            raise BadRequest("'tool_choice' names no tool of 'tools'.", param="tool_choice.name")
        function = {"name": choice["name"]}
        fields["tool_choice"] = {"type": "function", "function": function}
    elif kind in ("auto", "none"):
        fields |= {"tool_choice": kind} if tools else {}
    else:
        raise BadRequest(
            "'tool_choice.type' must be auto, any, tool or none.", param="tool_choice.type"
        )
    if kind == "any" and not tools:
        raise BadRequest("'tool_choice' needs 'tools' to choose from.", param="tool_choice")
    if tools and isinstance(alone := choice.get("disable_parallel_tool_use"), bool):
        fields["parallel_tool_calls"] = not alone
    return fields


def _tool(tool: Any, where: str) -> Json:  # noqa: ANN401 - decoded JSON
    if not isinstance(tool, dict):
        raise BadRequest(f"'{where}' must be an object, not {named(tool)}.", param=where)
    kind = tool.get("type")
    if kind not in (None, "custom"):
        shown = f"'{kind[:40]}'" if isinstance(kind, str) else named(kind)
        raise BadRequest(
            f"'{where}' is a tool {shown}, which does not exist here: there are no tools of"
            " Anthropic's servers, and models do not know its others. Leave it out of 'tools'.",
            param=f"{where}.type",
        )
    if not isinstance(tool.get("name"), str):
        raise BadRequest(f"'{where}.name' must be a string.", param=f"{where}.name")
    function: Json = {"name": tool["name"]}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}


def _object(request: Json, name: str) -> Json:
    value = request.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"'{name}' must be an object, not {named(value)}.", param=name)
    return value or {}
