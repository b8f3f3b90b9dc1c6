"""What the readers of all APIs share: decode a body, read its fields, build a prompt. Pure.

The fields come first; then the parts of messages, and the segments of a prompt made from them.
"""

from __future__ import annotations

import json
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from models.requests.facts import Prompt, Segment
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


Json = dict[str, Any]

# The engine's limit: a 32-bit integer.
_MOST_OUTPUT = 2**31 - 1
# Real requests are far below this. Each level adds four characters to every indented line.
_DEEPEST = 100

_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
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


def named(value: Any) -> str:  # noqa: ANN401 - decoded JSON
    """Return JSON's word for the type of a value; never the value, which may be private."""
    return "an empty array" if value == [] else _NAMES[type(value)]


def string_of(fields: Json, name: str, where: str) -> str:
    """Return the string ``name`` of an object; BadRequest names ``where`` the object stands."""
    value = fields.get(name)
    if not isinstance(value, str):
        place = f"{where}.{name}"
        raise BadRequest(f"'{place}' must be a string, not {named(value)}.", param=place)
    return value


def decoded(body: bytes) -> Json:
    """Return ``body`` as a JSON object; raise BadRequest if it is none or nested too deep."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The message has a position and a cause, never the text itself.
        raise BadRequest(f"The body is not valid JSON: {error.msg} at byte {error.pos}.") from None
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object.")
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > _DEEPEST and _nesting_exceeds(request, _DEEPEST):
        raise BadRequest(f"The body is nested more than {_DEEPEST} levels deep.")
    return request


def model_of(request: Json) -> str | None:
    """Return the name of the requested model, or None. Raises BadRequest."""
    model = request.get("model")
    if model is not None and not isinstance(model, str):
        raise BadRequest(f"'model' must be a string, not {named(model)}.", param="model")
    return model or None


def stream_of(request: Json) -> bool:
    """Return whether the client wants a stream. Raises BadRequest."""
    stream = request.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest(f"'stream' must be true or false, not {named(stream)}.", param="stream")
    return bool(stream)


def output_of(request: Json, fields: tuple[str, ...]) -> int | None:
    """Return the largest token limit in ``fields``, or None if they set none.

    Raises BadRequest.
    """
    limits: list[int] = []
    for field in fields:
        value = request.get(field)
        if value is None:
            continue
        if type(value) is int and 0 <= value <= _MOST_OUTPUT:
            limits.append(value)
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadRequest(f"'{field}' must be an integer, not {named(value)}.", param=field)
        if value > _MOST_OUTPUT:
            raise BadRequest(f"'{field}' must not exceed {_MOST_OUTPUT}.", param=field)
        # Engines read a negative number as "no limit".
        if value >= 0:
            limits.append(value)
    return max(limits, default=None)


def answers_of(request: Json) -> int:
    """Return how many answers the request wants. Raises BadRequest.

    Some engines have a name of their own for ``n``, which counts before it.
    """
    field = "n" if request.get("n_cmpl") is None else "n_cmpl"
    value = request.get(field)
    if value is None:
        return 1
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"'{field}' must be an integer, not {named(value)}.", param=field)
    if value < 1:
        raise BadRequest(f"'{field}' must be at least 1.", param=field)
    return value


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


def _nesting_exceeds(outermost: Json, levels: int) -> bool:
    level: list[Any] = [outermost]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


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
