"""Join characters that engines cut in two. Pure.

Some engines send an event for each token, and a token may be a part of a character: half a pair of
surrogates in JSON escapes, or some bytes of its UTF-8.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_HIGH = "\ud800", "\udbff"
# What ``surrogateescape`` makes of bytes that are no UTF-8, and halves of pairs.
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALVES = re.compile("[\ud800-\udfff]+")
_REPLACED = "\ufffd"
_LONGEST = 4


def loads(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the decoded JSON, in whose texts halves of characters are surrogates.

    Raises ValueError if it is no JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data.decode("utf-8", "surrogateescape"))


class Joiner:
    """Joins the halves of characters at the borders of pieces of one text."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return the piece in whole characters; what may be half of one waits for the next."""
        if not self._held and piece.isascii():
            return piece
        text = _PAIR.sub(_joined, self._held + piece)
        at = _beginning_of_half(text)
        self._held = text[at:]
        return _whole(text[:at])

    def rest(self) -> str:
        """Return what still waits, as a replacement character; "" if nothing does."""
        held, self._held = self._held, ""
        return _REPLACED if held else ""


def _beginning_of_half(text: str) -> int:
    """Return where the half of a character at the end of ``text`` begins."""
    last = text[-1:]
    if _HIGH[0] <= last <= _HIGH[1]:
        return len(text) - 1
    start = len(text)
    while start and len(text) - start < _LONGEST and "\udc80" <= text[start - 1] <= "\udcff":
        start -= 1
    for at in range(start, len(text)):
        if _is_begun(text[at:].encode("utf-8", "surrogateescape")):
            return at
    return len(text)


def _is_begun(data: bytes) -> bool:
    """Return whether ``data`` is the beginning of one character, and not all of it."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start == 0 and error.reason == "unexpected end of data"
    return False


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _whole(text: str) -> str:
    return _HALVES.sub(lambda found: _mended(found[0]), text)


def _mended(halves: str) -> str:
    """Return the characters that these bytes are together; halves without the other are none."""
    try:
        return halves.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return _REPLACED
