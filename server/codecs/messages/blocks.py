"""The messages of Anthropic's API as those of a chat. Pure.

A message there is a list of blocks. Thoughts, calls of tools and their results are blocks among
others; a chat has fields or messages of their own for them. Results come first, because in a chat
nothing may stand between a call and its result.

The same messages always become the same chat, so that a conversation keeps its prompt cache.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import orjson

from models.requests.chat import objects, role_of
from models.requests.documents import document_text, search_text
from models.requests.fields import Json, named, string_of
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Claude Code begins its system prompt so. It is for Anthropic's servers, differs from request to
# request, and would displace the prompt of all others from the cache.
_BILLING = re.compile(r"x-anthropic-billing-header:(?:\s*[\w-]+=[^;\n]*;)*\s*")
# Thoughts that the client keeps for itself and sends back, as a signature.
_SEALED = "thoughts:"


def chat_messages(request: Json) -> list[Json]:
    """Return the messages of the chat, the system prompt first; raise BadRequest."""
    said = objects(request, "messages")
    messages = _system(request.get("system"))
    for index, message in enumerate(said):
        messages += _message(message, role_of(message, index), f"messages[{index}].content")
    return messages


def sealed(thoughts: str) -> str:
    """Return a signature that holds the thoughts. It hides nothing: they are the client's."""
    return base64.b64encode(f"{_SEALED}{thoughts}".encode()).decode()


def _system(system: Any) -> list[Json]:  # noqa: ANN401 - decoded JSON
    if system is None:
        return []
    if isinstance(system, str):
        texts = [system]
    elif isinstance(system, list):
        texts = [string_of(block, "text", place) for block, place in _blocks(system, "system")]
    else:
        raise BadRequest(
            f"'system' must be a string or an array of blocks, not {named(system)}.",
            param="system",
        )
    texts = [_BILLING.sub("", text, count=1) if _BILLING.match(text) else text for text in texts]
    text = "\n\n".join(filter(None, texts))
    return [{"role": "system", "content": text}] if text else []


def _message(message: Json, role: str, where: str) -> list[Json]:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return [{"role": role, "content": content or ""}]
    if not isinstance(content, list):
        raise BadRequest(
            f"'{where}' must be a string or an array of parts, not {named(content)}.", param=where
        )
    own: list[Json] = []
    results: list[Json] = []
    calls: list[Json] = []
    thoughts = ""
    for block, place in _blocks(content, where):
        kind = block.get("type")
        if kind == "tool_result":
            results.append(_result(block, place))
        elif kind == "tool_use":
            calls.append(_call(block, place))
        elif kind == "thinking":
            thoughts += _thoughts(block)
        elif kind != "redacted_thinking":
            own.append(_part(block, place))
    said: Json = {"role": role, "content": _joined(own, "" if role == "assistant" else "\n")}
    if thoughts:
        said["reasoning_content"] = thoughts
    if calls:
        said["tool_calls"] = calls
    return results if results and not own else [*results, said]


def _call(block: Json, where: str) -> Json:
    arguments = block.get("input")
    if not isinstance(arguments, dict | None):
        place = f"{where}.input"
        raise BadRequest(f"'{place}' must be an object, not {named(arguments)}.", param=place)
    function = {
        "name": string_of(block, "name", where),
        "arguments": orjson.dumps(arguments or {}).decode(),
    }
    return {"id": string_of(block, "id", where), "type": "function", "function": function}


def _result(block: Json, where: str) -> Json:
    content = block.get("content")
    if isinstance(content, list):
        parts = [_part(inner, place) for inner, place in _blocks(content, f"{where}.content")]
        content = _joined(parts, "\n")
    elif not isinstance(content, str | None):
        place = f"{where}.content"
        raise BadRequest(
            f"'{place}' must be a string or an array of parts, not {named(content)}.", param=place
        )
    call = string_of(block, "tool_use_id", where)
    return {"role": "tool", "tool_call_id": call, "content": content or ""}


def _thoughts(block: Json) -> str:
    thinking, signature = block.get("thinking"), block.get("signature")
    if isinstance(thinking, str) and thinking:
        return thinking
    if not isinstance(signature, str):
        return ""
    try:
        opened = base64.b64decode(signature, validate=True).decode()
    except ValueError:
        return ""
    # Thoughts of another service cannot be read here, and need not be.
    return opened.removeprefix(_SEALED) if opened.startswith(_SEALED) else ""


def _part(block: Json, where: str) -> Json:
    kind = block.get("type")
    if isinstance(kind, str) and (read := _PARTS.get(kind)) is not None:
        return read(block, where)
    shown = f"'{kind[:40]}'" if isinstance(kind, str) else "that is not named"
    raise BadRequest(
        f"'{where}' is a block of the type {shown}, which models here cannot read.",
        param=f"{where}.type",
    )


def _image(block: Json, where: str) -> Json:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, dict) else None
    if isinstance(source, dict) and kind == "base64":
        media = source.get("media_type")
        media = media if isinstance(media, str) else "image/jpeg"
        url = f"data:{media};base64,{string_of(source, 'data', f'{where}.source')}"
    elif isinstance(source, dict) and kind == "url":
        url = string_of(source, "url", f"{where}.source")
    else:
        raise BadRequest(
            f"'{where}.source' must be of the type base64 or url: no files are kept here.",
            param=f"{where}.source",
        )
    return {"type": "image_url", "image_url": {"url": url}}


def _sound(block: Json, where: str) -> Json:
    sound = block.get("input_audio")
    if not isinstance(sound, dict):
        place = f"{where}.input_audio"
        raise BadRequest(f"'{place}' must be an object, not {named(sound)}.", param=place)
    return {"type": "input_audio", "input_audio": sound}


def _as_text(text: str) -> Json:
    return {"type": "text", "text": text}


_PARTS: dict[str, Callable[[Json, str], Json]] = {
    "text": lambda block, where: _as_text(string_of(block, "text", where)),
    "image": _image,
    "document": lambda block, where: _as_text(document_text(block, where)),
    "search_result": lambda block, _where: _as_text(search_text(block)),
    # All tools are offered from the beginning; this names one that was found among them.
    "tool_reference": lambda block, where: _as_text(
        f"The tool {string_of(block, 'tool_name', where)} can be called."
    ),
    "input_audio": _sound,
}


def _joined(parts: list[Json], between: str) -> str | list[Json]:
    """Return texts as one, which every template prints; other parts stay as they are."""
    if all(part["type"] == "text" for part in parts):
        return between.join(part["text"] for part in parts)
    return parts


def _blocks(content: list[Any], where: str) -> Iterator[tuple[Json, str]]:
    """Yield each block and its place, for errors."""
    for index, block in enumerate(content):
        place = f"{where}[{index}]"
        if not isinstance(block, dict):
            raise BadRequest(f"'{place}' must be an object, not {named(block)}.", param=place)
        yield block, place
