"""Read ``/v1/messages``, Anthropic's API, as the chat that engines make of it.

The system prompt becomes a message, each tool result a message of its own. Tools are printed in
OpenAI's form, which is longer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from models.requests.chat import (
    Content,
    Conversation,
    content_of,
    joined,
    objects,
    part_of,
    printed,
    tools_of,
)
from models.requests.fields import Json, named
from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.requests.facts import Prompt

# The engines' token limit for a request that sets none.
DEFAULT_OUTPUT = 4096


def messages(request: Json) -> Prompt:
    """Return the prompt of a request to Anthropic's API, or raise BadRequest."""
    said = objects(request, "messages")
    talk = Conversation("messages", _preamble(request))
    if (system := request.get("system")) is not None:
        content = content_of(system, "system", _silent)
        # Engines replace a changing number ("cch=") that one client puts there.
        talk.say(orjson.dumps(system), content, verbatim="cch=" not in content.text)
    for index, message in enumerate(said):
        _say(talk, message, f"messages[{index}].content")
    return talk.prompt(prefilled=said[-1].get("role") == "assistant")


def _say(talk: Conversation, message: Json, where: str) -> None:
    content = message.get("content")
    source = orjson.dumps(message)
    if not isinstance(content, list):
        plain = content_of(content, where)
        talk.say(source, plain, verbatim=message.get("role") == "user")
        return
    own, results, calls = [], [], []
    for index, block in enumerate(content):
        place = f"{where}[{index}]"
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "tool_result":
            results.append(content_of(block.get("content"), f"{place}.content", _silent))
        elif kind == "tool_use":
            calls.append(_call(block))
        else:
            own.append(part_of(block, place, _thought))
    said = joined(own)
    text = said.text + (printed({"tool_calls": calls}) if calls else "")
    verbatim = message.get("role") == "user" and not calls
    talk.say(source, Content(text, said.media), verbatim=verbatim)
    for result in results:
        talk.say(b"tool_result", result, verbatim=False)


def _call(block: Json) -> Json:
    arguments = json.dumps(block.get("input"))
    function = {"name": block.get("name"), "arguments": arguments}
    return {"id": block.get("id"), "type": "function", "function": function}


def _thought(block: Json) -> str:
    """Return the text of a block without ``text``: engines keep only the thinking."""
    thinking = block.get("thinking")
    return thinking if isinstance(thinking, str) else ""


def _silent(_block: Json) -> str:
    return ""


def _preamble(request: Json) -> Json:
    preamble = {}
    if tools := tools_of(request):
        preamble["tools"] = [_tool(tool, index) for index, tool in enumerate(tools)]
    if kwargs := request.get("chat_template_kwargs"):
        preamble["chat_template_kwargs"] = kwargs
    return preamble


def _tool(tool: Any, index: int) -> Json:  # noqa: ANN401 - decoded JSON
    if not isinstance(tool, dict):
        where = f"tools[{index}]"
        raise BadRequest(f"'{where}' must be an object, not {named(tool)}.", param=where)
    function = {
        "name": tool.get("name"),
        "description": tool.get("description"),
        "parameters": tool.get("input_schema"),
    }
    return {"type": "function", "function": function}
