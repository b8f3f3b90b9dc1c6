"""The parts of a conversation, and the segments that are made of them."""

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

# A part's type, and what a model must be capable of to take it.
MEDIA = {
    "image_url": "vision",
    "input_image": "vision",
    "video_url": "vision",
    "input_video": "vision",
    "input_audio": "audio",
    # Anthropic's.
    "image": "vision",
}
# What templates print around these is in the allowance for a message.
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Beyond, indentation would only multiply memory; the engine has the last word anyway.
_MOST_INDENTED = 1024 * 1024


class Content(NamedTuple):
    """A message's text, and what each of its media parts needs of a model."""

    text: str = ""
    media: tuple[str, ...] = ()


def printed(fields: Json) -> str:
    """``fields`` as wide as a template prints them at most: indented and escaped."""
    text = json.dumps(fields)
    return text if len(text) > _MOST_INDENTED else json.dumps(fields, indent=4)


def content_of(
    content: Any,  # noqa: ANN401 - decoded JSON
    where: str,
    text_of: Callable[[Json], str] = json.dumps,
) -> Content:
    """What a message says: nothing, a text, or parts; ``text_of`` reads parts that are no text."""
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
    """What one part says or shows."""
    if not isinstance(part, dict):
        raise BadRequest(f"'{where}' must be an object, not {named(part)}.", param=where)
    kind = part.get("type")
    if isinstance(kind, str) and kind in MEDIA:
        return Content("", (MEDIA[kind],))
    text = part.get("text")
    return Content(text if isinstance(text, str) else text_of(part))


def joined(parts: Iterable[Content]) -> Content:
    """Several contents as one."""
    parts = list(parts)
    text = "\n".join(part.text for part in parts if part.text or not part.media)
    return Content(text, tuple(need for part in parts for need in part.media))


def extras_of(message: Json, *known: str) -> Json:
    """What templates may print of a message beside ``known`` fields and its usual role."""
    usual = ("role", *known)
    extras = {k: v for k, v in message.items() if k not in usual and v}
    if (role := message.get("role")) and role not in _ROLES:
        extras["role"] = role
    return extras


class Conversation:
    """Collects segments; each one's digest covers all before it."""

    def __init__(self, origin: str, preamble: Json) -> None:
        self._segments: list[Segment] = []
        self._needs: set[str] = {"tools"} if preamble.get("tools") else set()
        text = printed(preamble) if preamble else ""
        # The same words may be printed differently for another kind of request.
        self._digest = _beginning(origin, text) if text else _nothing(origin)
        self._append(Content(text), verbatim=not text)

    def say(self, source: bytes, content: Content, *, verbatim: bool) -> None:
        """One more message, which ``source`` tells from all others."""
        self._digest = _digest(self._digest, source)
        self._append(content, verbatim=verbatim)

    def prompt(self, *, prefilled: bool) -> Prompt:
        """All that was collected."""
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
    # Marked, so that no message after another digest comes to the same.
    digest = hashlib.blake2b(
        text.encode(), key=origin.encode(), person=b"beginning", digest_size=16
    )
    return digest.digest()


def _digest(before: bytes, text: bytes) -> bytes:
    return hashlib.blake2b(before + text, digest_size=16).digest()
