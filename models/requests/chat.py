"""Read ``/v1/chat/completions``: messages, tools, and other fields that templates print. Pure.

The parts of messages come first; then the segments of a prompt made from them, and the chat. APIs
that engines turn into chats are read by the same parts.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests.facts import Prompt, Segment
from models.requests.fields import Json, named
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# The types of media parts, and the capability that a model needs for each.
MEDIA = {
    "image_url": "vision",
    "input_image": "vision",
    "video_url": "vision",
    "input_video": "vision",
    "input_audio": "audio",
    # Anthropic's.
    "image": "vision",
}
# The allowance for a message covers what templates print for these roles.
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# Larger texts are not indented, to save memory. The engine still checks the exact size.
_MOST_INDENTED = 1024 * 1024
# Fields beside the messages that chat templates print into the prompt.
_IN_ORDER = ("tools", "functions", "response_format", "chat_template_kwargs", "json_schema")
_PREAMBLE = frozenset(_IN_ORDER)
# Most messages have a role and a content, and nothing beside them.
_PLAIN = 2


def objects(request: Json, field: str) -> list[Json]:
    """Return the non-empty array of objects in ``field``, or raise BadRequest."""
    items = request.get(field)
    if not isinstance(items, list):
        raise BadRequest(f"'{field}' must be an array, not {named(items)}.", param=field)
    if not items:
        raise BadRequest(f"'{field}' must hold at least one message.", param=field)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise BadRequest(
                f"'{field}[{index}]' must be an object, not {named(item)}.",
                param=f"{field}[{index}]",
            )
    return items


def role_of(message: Json, index: int) -> str:
    """Return the role of the message with this index, or raise BadRequest.

    Any text is allowed, as templates print it.
    """
    role = message.get("role")
    if not isinstance(role, str):
        where = f"messages[{index}].role"
        raise BadRequest(f"'{where}' must be a string, not {named(role)}.", param=where)
    return role


def tools_of(request: Json) -> list[Any]:
    """Return the tools that the request offers to the model. Raises BadRequest."""
    tools = request.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise BadRequest(f"'tools' must be an array, not {named(tools)}.", param="tools")
    return tools or []


class Content(NamedTuple):
    """The text of a message, and the capability that each of its media parts needs."""

    text: str = ""
    media: tuple[str, ...] = ()


def printed(fields: Json) -> str:
    """Return ``fields`` in the longest form that a template prints: indented and escaped."""
    text = json.dumps(fields)
    return text if len(text) > _MOST_INDENTED else json.dumps(fields, indent=4)


def content_of(
    content: Any,  # noqa: ANN401 - decoded JSON
    where: str,
    text_of: Callable[[Json], str] = json.dumps,
) -> Content:
    """Return the content of a message: nothing, a text, or parts. Raises BadRequest.

    ``text_of`` turns a part without ``text`` into text. ``where`` names the place in errors.
    """
    if content is None:
        return Content()
    if isinstance(content, str):
        return Content(content)
    if not isinstance(content, list):
        raise BadRequest(
            f"'{where}' must be a string or an array of parts, not {named(content)}.", param=where
        )
    parts = [part_of(part, f"{where}[{index}]", text_of) for index, part in enumerate(content)]
    return joined(parts)


def part_of(
    part: Any,  # noqa: ANN401 - decoded JSON
    where: str,
    text_of: Callable[[Json], str] = json.dumps,
) -> Content:
    """Return the content of one part, or raise BadRequest."""
    if not isinstance(part, dict):
        raise BadRequest(f"'{where}' must be an object, not {named(part)}.", param=where)
    kind = part.get("type")
    if isinstance(kind, str) and kind in MEDIA:
        return Content("", (MEDIA[kind],))
    text = part.get("text")
    return Content(text if isinstance(text, str) else text_of(part))


def joined(parts: Iterable[Content]) -> Content:
    """Join several contents into one."""
    parts = list(parts)
    text = "\n".join(part.text for part in parts if part.text or not part.media)
    return Content(text, tuple(need for part in parts for need in part.media))


def extras_of(message: Json, *known: str) -> Json:
    """Return the fields of a message that a template may print beside the ``known`` ones.

    An unusual role is one of them.
    """
    usual = ("role", *known)
    extras = {k: v for k, v in message.items() if k not in usual and v}
    if (role := message.get("role")) and role not in ROLES:
        extras["role"] = role
    return extras


class Conversation:
    """Collects the segments of a prompt. Each digest covers the prompt up to its segment."""

    def __init__(self, origin: str, preamble: Json) -> None:
        self._needs: set[str] = {"tools"} if preamble.get("tools") else set()
        text = printed(preamble) if preamble else ""
        # ``origin`` is in the digest, as another API may print the same text differently.
        self._digest = _beginning(origin, text) if text else _nothing(origin)
        self._segments = [Segment(text, len(text.encode()), 0, self._digest, not text)]

    def say(self, source: bytes, content: Content, *, verbatim: bool) -> None:
        """Add a message. ``source`` is the message as bytes, for the digest."""
        text, media = content
        if not media:
            self.say_text(source, text, verbatim=verbatim)
            return
        self._needs.update(media)
        self._digest = blake2b(self._digest + source, digest_size=16).digest()
        size, sounds = len(text.encode()), media.count("audio")
        self._segments.append(Segment(text, size, len(media), self._digest, verbatim, sounds))

    def say_text(self, source: bytes, text: str, *, verbatim: bool) -> None:
        """Add a message that is only a text."""
        self._digest = digest = blake2b(self._digest + source, digest_size=16).digest()
        size = len(text) if text.isascii() else len(text.encode())
        self._segments.append(Segment(text, size, 0, digest, verbatim))

    def prompt(self, *, prefilled: bool) -> Prompt:
        """Return the prompt of all segments so far."""
        return Prompt(
            segments=tuple(self._segments), prefilled=prefilled, needs=frozenset(self._needs)
        )


@cache
def _nothing(origin: str) -> bytes:
    return _beginning(origin, "")


def _beginning(origin: str, text: str) -> bytes:
    # ``person`` makes this differ from the digest of any message.
    digest = blake2b(text.encode(), key=origin.encode(), person=b"beginning", digest_size=16)
    return digest.digest()


def chat(request: Json) -> Prompt:
    """Return the prompt of a chat, or raise BadRequest."""
    messages = objects(request, "messages")
    if "tools" in request:
        tools_of(request)
    preamble: Json = {}
    if not _PREAMBLE.isdisjoint(request):
        preamble = {name: request[name] for name in _IN_ORDER if request.get(name)}
    talk = Conversation("", preamble)
    for index, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if len(message) == _PLAIN and isinstance(role, str) and role in ROLES:
            if isinstance(content, str):
                # Most messages: nothing but a text, which has no fault to report.
                talk.say_text(orjson.dumps(message), content, verbatim=role != "assistant")
                continue
        else:
            role = role_of(message, index)
        said = content_of(content, f"messages[{index}].content")
        if extras := extras_of(message, "content"):
            said = Content(said.text + printed(extras), said.media)
        talk.say(orjson.dumps(message), said, verbatim=not extras and role != "assistant")
    return talk.prompt(prefilled=messages[-1].get("role") == "assistant")
