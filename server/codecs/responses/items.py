"""The items of the Responses API as the messages of a chat. Pure.

The same items always become the same messages, and what follows changes nothing before it. So the
messages of a turn begin with those of the turn before, and the engine need not read them again.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Any

import orjson

from models.requests.fields import Json, named, string_of
from server.codecs.responses.tools import chat_name
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# The beginnings of the ids of items.
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fc",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctc",
    "compaction": "cmp",
}
_ROLES = ("user", "assistant", "system", "developer")
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
# Thoughts that a client keeps for itself and sends back.
_SEALED = "thoughts:"
_COMPACTED = "summary:"
_BEFORE = "This is a summary of what was said and done before:"
_TEXT_FILES = ("text/", "application/json", "application/xml", "application/yaml")


def new_id(prefix: str) -> str:
    """Return a new id, which nobody can guess."""
    return f"{prefix}_{secrets.token_hex(24)}"


def seal(thoughts: str) -> str:
    """Return thoughts as ``encrypted_content``. It hides nothing: the client has them anyway."""
    return base64.b64encode(f"{_SEALED}{thoughts}".encode()).decode()


def compaction(summary: str) -> Json:
    """Return the item that stands for all that was said before, for the client to keep."""
    content = base64.b64encode(f"{_COMPACTED}{summary}".encode()).decode()
    return {"id": new_id("cmp"), "type": "compaction", "encrypted_content": content}


def input_items(value: Any, where: str = "input") -> list[Json]:  # noqa: ANN401 - decoded JSON
    """Return the items of an ``input``, each complete and with an id; raise BadRequest.

    A text is a message of the user. A reference to an item stays one.
    """
    if isinstance(value, str):
        return [_message({"role": "user", "content": value}, where)]
    if not isinstance(value, list):
        raise BadRequest(
            f"'{where}' must be a string or an array of items, not {named(value)}.", param=where
        )
    return [_item(item, f"{where}[{index}]") for index, item in enumerate(value)]


def messages_of(instructions: str | None, items: Sequence[Json]) -> list[Json]:
    """Return the chat's messages that these complete items are; raise BadRequest.

    ``instructions`` and the system's messages at the beginning become one message: chat templates
    take no more.
    """
    chat = _Chat()
    if instructions:
        chat.messages.append({"role": "system", "content": instructions})
    for index, item in enumerate(items):
        chat.add(item, f"input[{index}]")
    return chat.messages


# -- items ---------------------------------------------------------------------------------------


def _item(item: Any, where: str) -> Json:  # noqa: ANN401 - decoded JSON
    if not isinstance(item, dict):
        raise BadRequest(f"'{where}' must be an object, not {named(item)}.", param=where)
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind == "message":
        return _message(item, where)
    if kind == "item_reference" or (kind is None and "id" in item):
        return {"type": "item_reference", "id": string_of(item, "id", where)}
    if kind == "reasoning":
        return _with_id({"summary": [], **item})
    if kind in ("function_call", "custom_tool_call"):
        field = "arguments" if kind == "function_call" else "input"
        for name in ("call_id", "name", field):
            string_of(item, name, where)
        return _with_id(item)
    if kind in ("function_call_output", "custom_tool_call_output"):
        string_of(item, "call_id", where)
        if not isinstance(item.get("output"), str | list):
            raise BadRequest(
                f"'{where}.output' must be a string or an array of parts,"
                f" not {named(item.get('output'))}.",
                param=f"{where}.output",
            )
        return _with_id(item)
    if kind in ("compaction", "compaction_summary"):
        return _with_id({**item, "type": "compaction"})
    raise BadRequest(
        f"'{where}' is an item of the type {_shown(kind)}, which does not exist here: there are no"
        " hosted tools.",
        param=f"{where}.type",
    )


def _message(item: Json, where: str) -> Json:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        raise BadRequest(
            f"'{where}.role' must be one of {', '.join(_ROLES)}.", param=f"{where}.role"
        )
    if isinstance(content, str):
        own = "output_text" if role == "assistant" else "input_text"
        part: Json = {"type": own, "text": content}
        if role == "assistant":
            part["annotations"] = []
        content = [part]
    elif not isinstance(content, list):
        raise BadRequest(
            f"'{where}.content' must be a string or an array of parts, not {named(content)}.",
            param=f"{where}.content",
        )
    rest = {name: value for name, value in item.items() if name not in ("type", "content")}
    return _with_id({"type": "message", "status": "completed", **rest, "content": content})


def _with_id(item: Json) -> Json:
    # The field is there in any case: who lists items wants to name them.
    given = item.get("id")
    own = given if isinstance(given, str) and given else new_id(_PREFIXES[item["type"]])
    return {**item, "id": own}


# -- messages ------------------------------------------------------------------------------------


class _Chat:
    """Collects messages. What the assistant thought, said and called in one go is one message."""

    def __init__(self) -> None:
        self.messages: list[Json] = []

    def add(self, item: Json, where: str) -> None:
        kind = item["type"]
        if kind == "message":
            self._say(item["role"], item["content"], f"{where}.content")
        elif kind == "reasoning":
            if thoughts := _thoughts(item):
                self._assistant(lambda last: last.keys() <= {"role"})["reasoning_content"] = (
                    thoughts
                )
        elif kind in ("function_call", "custom_tool_call"):
            message = self._assistant(lambda _last: True)
            message.setdefault("content", None)
            message.setdefault("tool_calls", []).append(_call(item))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            content = _content(item["output"], f"{where}.output")
            self.messages.append(
                {"role": "tool", "tool_call_id": item["call_id"], "content": content}
            )
        elif kind == "compaction":
            self.messages.append({"role": "user", "content": _summary(item, where)})
        else:
            raise BadRequest(f"'{where}' refers to an item that is not known.", param=where)

    def _say(self, role: str, content: list[Any], where: str) -> None:
        if role == "assistant":
            said = "".join(_text(part, f"{where}[{at}]") for at, part in enumerate(content))
            self._assistant(lambda last: last.keys() <= {"role", "reasoning_content"})[
                "content"
            ] = said
            return
        said_parts = _content(content, where)
        system = role in ("system", "developer")
        first = self.messages[0] if len(self.messages) == 1 else {}
        if system and first.get("role") == "system" and isinstance(said_parts, str):
            first["content"] = f"{first['content']}\n\n{said_parts}"
            return
        self.messages.append({"role": "system" if system else role, "content": said_parts})

    def _assistant(self, may_join: Callable[[Json], bool]) -> Json:
        """Return the assistant's last message if this may be a part of it, else a new one."""
        last = self.messages[-1] if self.messages else {}
        if last.get("role") == "assistant" and may_join(last):
            return last
        message: Json = {"role": "assistant"}
        self.messages.append(message)
        return message


def _call(item: Json) -> Json:
    if item["type"] == "custom_tool_call":
        arguments = orjson.dumps({"input": item["input"]}).decode()
    else:
        arguments = item["arguments"]
    name = chat_name(item["name"], item.get("namespace"))
    function = {"name": name, "arguments": arguments}
    return {"id": item["call_id"], "type": "function", "function": function}


def _thoughts(item: Json) -> str:
    for field in ("content", "summary"):
        if text := "\n".join(_texts(item.get(field))):
            return text
    # Thoughts of another service cannot be read here, and need not be.
    return _opened(item, _SEALED) or ""


def _summary(item: Json, where: str) -> str:
    summary = _opened(item, _COMPACTED)
    if summary is None:
        raise BadRequest(
            f"'{where}.encrypted_content' was not written here, and cannot be read.",
            param=f"{where}.encrypted_content",
        )
    return f"{_BEFORE}\n\n{summary}"


def _opened(item: Json, kind: str) -> str | None:
    """Return what a client has kept for the gateway; None if it was not written here."""
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str):
        return None
    try:
        opened = base64.b64decode(sealed, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return opened.removeprefix(kind) if opened.startswith(kind) else None


def _texts(parts: Any) -> Iterable[str]:  # noqa: ANN401 - decoded JSON
    if isinstance(parts, list):
        for part in parts:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def _text(part: Any, where: str) -> str:  # noqa: ANN401 - decoded JSON
    """Return the text of a part that can be nothing else."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in _TEXTS:
        return string_of(part, "text", where)
    if kind == "refusal":
        return string_of(part, "refusal", where)
    raise BadRequest(f"'{where}' must be a text or a refusal.", param=where)


def _content(parts: Any, where: str) -> str | list[Json]:  # noqa: ANN401 - decoded JSON
    if isinstance(parts, str):
        return parts
    made = [_part(part, f"{where}[{at}]") for at, part in enumerate(parts)]
    if len(made) == 1 and made[0]["type"] == "text":
        return str(made[0]["text"])
    return made or ""


def _part(part: Any, where: str) -> Json:  # noqa: ANN401 - decoded JSON
    if not isinstance(part, dict):
        raise BadRequest(f"'{where}' must be an object, not {named(part)}.", param=where)
    kind = part.get("type")
    if kind in (*_TEXTS, "refusal"):
        return {"type": "text", "text": _text(part, where)}
    if kind == "input_image":
        if not isinstance(part.get("image_url"), str):
            raise BadRequest(
                f"'{where}' needs 'image_url': no files are kept here.", param=f"{where}.file_id"
            )
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    if kind == "input_audio" and isinstance(part.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    if kind == "input_file":
        return {"type": "text", "text": _file(part, where)}
    raise BadRequest(
        f"'{where}' is a part of the type {_shown(kind)}, which models here cannot read.",
        param=f"{where}.type",
    )


def _file(part: Json, where: str) -> str:
    """Return the text of a file that came with the request."""
    data = part.get("file_data")
    if not isinstance(data, str):
        other = "file_url" if "file_url" in part else "file_id"
        raise BadRequest(
            f"'{where}' needs 'file_data': no files are kept here, and none are downloaded.",
            param=f"{where}.{other}",
        )
    text = _text_in(data)
    if text is None:
        raise BadRequest(
            f"'{where}.file_data' must be a text in UTF-8: models here cannot read other files.",
            param=f"{where}.file_data",
        )
    name = part.get("filename")
    return f"{name}:\n{text}" if isinstance(name, str) and name else text


def _text_in(data: str) -> str | None:
    """Return the text in base64, with or without ``data:`` and its type before it."""
    head, comma, coded = data.partition(",")
    if comma and not head.removeprefix("data:").startswith(_TEXT_FILES):
        return None
    try:
        return base64.b64decode(coded if comma else data, validate=True).decode()
    except ValueError:
        return None


def _shown(kind: object) -> str:
    return f"'{kind[:40]}'" if isinstance(kind, str) else "that is not named"
