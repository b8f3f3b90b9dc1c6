"""Read ``/v1/responses`` as the chat that engines make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from models.requests.fields import (
    Content,
    Conversation,
    Json,
    content_of,
    extras_of,
    named,
    objects,
    printed,
)
from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.requests.facts import Prompt

_PREAMBLE = ("tools", "response_format", "text", "chat_template_kwargs", "json_schema")
# Fields that are read elsewhere or never printed (``encrypted_content``).
_UNPRINTED = ("type", "status", "content", "output", "summary", "encrypted_content")


def responses(request: Json) -> Prompt:
    """Return the prompt of a request to the Responses API, or raise BadRequest."""
    instructions = request.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise BadRequest(
            f"'instructions' must be a string, not {named(instructions)}.", param="instructions"
        )
    value = request.get("input")
    if not isinstance(value, str | list):
        raise BadRequest(
            f"'input' must be a string or an array, not {named(value)}.", param="input"
        )
    # Engines read a text as one item, so a conversation may begin with a text and continue in
    # items, with the same digests.
    text = [{"role": "user", "content": value}]
    items = text if isinstance(value, str) else objects(request, "input")
    talk = Conversation("responses", _preamble(request))
    if instructions is not None:
        talk.say(b"instructions" + instructions.encode(), Content(instructions), verbatim=True)
    for index, item in enumerate(items):
        _say(talk, item, f"input[{index}]")
    return talk.prompt(prefilled=items[-1].get("role") == "assistant")


def _say(talk: Conversation, item: Json, where: str) -> None:
    said = content_of(item.get("content"), f"{where}.content")
    output = content_of(item.get("output"), f"{where}.output")
    extras = extras_of(item, *_UNPRINTED)
    text = "\n".join(filter(None, (said.text, output.text, printed(extras) if extras else "")))
    spoken = item.get("role") in ("user", "system", "developer")
    talk.say(
        orjson.dumps(item),
        Content(text, said.media + output.media),
        verbatim=spoken and not extras,
    )


def _preamble(request: Json) -> Json:
    preamble = {name: request[name] for name in _PREAMBLE if request.get(name)}
    tools = preamble.get("tools")
    if isinstance(tools, list):
        # A chat has only function tools; it prints them one level deeper.
        functions = [t for t in tools if isinstance(t, dict) and t.get("type") == "function"]
        preamble["tools"] = [{"type": "function", "function": t} for t in functions]
    return preamble
