"""The messages of a request to Ollama's API, as those of a chat. Pure.

Ollama's messages have a text, beside it ``images`` and ``thinking``, and tool calls whose
arguments are objects. Calls and their results belong together by their order and the tool's name;
engines want ids. Ids that a client does not send are made from the place of the call, so that a
conversation keeps them from turn to turn, and its prompt cache with them.
"""

from __future__ import annotations

import binascii
from typing import Any

import orjson

from models.requests.chat import objects
from models.requests.fields import Json, named
from utils.errors import BadRequest

# How files begin that engines understand. WAVE and WebP both begin as RIFF files.
_IMAGES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_SOUNDS = ((b"ID3", "mp3"), (b"\xff\xfb", "mp3"), (b"\xff\xf3", "mp3"), (b"\xff\xf2", "mp3"))
_RIFF = b"RIFF"
_DATA = "data:"
# Base64 of the first bytes, enough for what is above.
_HEAD = 16
_NAMES = {"WAVE": "wav", "WEBP": "image/webp"}


def chat_messages(request: Json) -> list[Json]:
    """Return the messages of a chat, or raise BadRequest."""
    ids = _Ids()
    return [
        _message(message, f"messages[{index}]", ids)
        for index, message in enumerate(objects(request, "messages"))
    ]


def user_content(text: str, images: Any, where: str = "") -> str | list[Json]:  # noqa: ANN401 - decoded JSON
    """Return a text, with its images as parts if it has any; raise BadRequest."""
    if images is None or images == []:
        return text
    name = f"{where}.images" if where else "images"
    if not isinstance(images, list):
        raise BadRequest(f"'{name}' must be an array, not {named(images)}.", param=name)
    parts: list[Json] = [{"type": "text", "text": text}] if text else []
    parts += [_media(image, f"{name}[{index}]") for index, image in enumerate(images)]
    return parts


class _Ids:
    """The ids of the tool calls in one conversation."""

    def __init__(self) -> None:
        self._made = 0
        # Calls without a result yet: name of the tool, and id.
        self._open: list[tuple[str, str]] = []

    def called(self, name: str, given: str | None) -> str:
        """Return the id of the next call."""
        self._made += 1
        # Nine letters and digits: some templates accept no other id.
        call = given or f"call{self._made:05d}"
        self._open.append((name, call))
        return call

    def answered(self, name: str | None, given: str | None) -> str | None:
        """Return the id of the call that a result belongs to; None if there was no call."""
        for index, (tool, call) in enumerate(self._open):
            if (call == given) if given else (name in (None, tool)):
                del self._open[index]
                return call
        return given


def _message(message: Json, where: str, ids: _Ids) -> Json:
    role = _text(message, "role", where).lower()
    if not role:
        raise BadRequest(f"'{where}.role' is missing.", param=f"{where}.role")
    text = _text(message, "content", where)
    said: Json = {"role": role, "content": user_content(text, message.get("images"), where)}
    if thinking := _text(message, "thinking", where):
        said["reasoning_content"] = thinking
    if calls := message.get("tool_calls"):
        said["tool_calls"] = _calls(calls, f"{where}.tool_calls", ids)
    if role == "tool":
        name = _text(message, "tool_name", where) or None
        if name:
            said["name"] = name
        call = ids.answered(name, _text(message, "tool_call_id", where) or None)
        if call:
            said["tool_call_id"] = call
    return said


def _calls(calls: Any, where: str, ids: _Ids) -> list[Json]:  # noqa: ANN401 - decoded JSON
    if not isinstance(calls, list):
        raise BadRequest(f"'{where}' must be an array, not {named(calls)}.", param=where)
    return [_call(call, f"{where}[{index}]", ids) for index, call in enumerate(calls)]


def _call(call: Any, where: str, ids: _Ids) -> Json:  # noqa: ANN401 - decoded JSON
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise BadRequest(f"'{where}' must be an object with a 'function'.", param=where)
    name = _text(function, "name", f"{where}.function")
    arguments = function.get("arguments")
    # Some clients send the text that other APIs want.
    if not isinstance(arguments, str):
        if not isinstance(arguments, dict | None):
            where = f"{where}.function.arguments"
            raise BadRequest(f"'{where}' must be an object, not {named(arguments)}.", param=where)
        arguments = orjson.dumps(arguments or {}).decode()
    given = call.get("id")
    return {
        "id": ids.called(name, given if isinstance(given, str) else None),
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _media(image: Any, where: str) -> Json:  # noqa: ANN401 - decoded JSON
    """Return an image, or a sound, as a part of a message."""
    if not isinstance(image, str) or not image:
        raise BadRequest(f"'{where}' must be an image in base64, not {named(image)}.", param=where)
    if image.startswith(_DATA):
        return _picture(image)
    try:
        binascii.a2b_base64(image, strict_mode=True)
    except ValueError:
        raise BadRequest(f"'{where}' is not valid base64.", param=where) from None
    kind = _kind(binascii.a2b_base64(image[:_HEAD]))
    if kind.startswith("image/"):
        return _picture(f"{_DATA}{kind};base64,{image}")
    return {"type": "input_audio", "input_audio": {"data": image, "format": kind}}


def _picture(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def _kind(head: bytes) -> str:
    """Return the type of an image, or the format of a sound, by its first twelve bytes."""
    if head.startswith(_RIFF):
        return _NAMES.get(head[8:12].decode("latin-1"), "image/jpeg")
    for begin, kind in (*_IMAGES, *_SOUNDS):
        if head.startswith(begin):
            return kind
    # The engine looks for itself, and says so if it does not understand the file.
    return "image/jpeg"


def _text(fields: Json, name: str, where: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        where = f"{where}.{name}"
        raise BadRequest(f"'{where}' must be a string, not {named(value)}.", param=where)
    return value
