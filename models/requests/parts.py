"""Read the parts of messages, and build the segments of a prompt from them."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

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
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Larger texts are not indented, to save memory. The engine still checks the exact size.
_MOST_INDENTED = 1024 * 1024


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
    if (role := message.get("role")) and role not in _ROLES:
        extras["role"] = role
    return extras


class Conversation:
    """Collects the segments of a prompt. Each digest covers the prompt up to its segment."""

    def __init__(self, origin: str, preamble: Json) -> None:
        self._segments: list[Segment] = []
        self._needs: set[str] = {"tools"} if preamble.get("tools") else set()
        text = printed(preamble) if preamble else ""
        # ``origin`` is in the digest, as another API may print the same text differently.
        self._digest = _beginning(origin, text) if text else _nothing(origin)
        self._append(Content(text), verbatim=not text)

    def say(self, source: bytes, content: Content, *, verbatim: bool) -> None:
        """Add a message. ``source`` is the message as bytes, for the digest."""
        self._digest = _digest(self._digest, source)
        self._append(content, verbatim=verbatim)

    def prompt(self, *, prefilled: bool) -> Prompt:
        """Return the prompt of all segments so far."""
        return Prompt(
            segments=tuple(self._segments), prefilled=prefilled, needs=frozenset(self._needs)
        )

    def _append(self, content: Content, *, verbatim: bool) -> None:
        text, media = content
        if media:
            self._needs.update(media)
        size = len(text) if text.isascii() else len(text.encode())
        sounds = media.count("audio")
        self._segments.append(Segment(text, size, len(media), self._digest, verbatim, sounds))


@cache
def _nothing(origin: str) -> bytes:
    return _beginning(origin, "")


def _beginning(origin: str, text: str) -> bytes:
    # ``person`` makes this differ from the digest of any message.
    digest = hashlib.blake2b(
        text.encode(), key=origin.encode(), person=b"beginning", digest_size=16
    )
    return digest.digest()


def _digest(before: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(before + text, digest_size=16).digest()
