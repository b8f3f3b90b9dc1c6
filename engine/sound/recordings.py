"""``Recordings``: find where each recording begins in the pieces of a sound. Pure.

A browser's recorder writes the head of a file once, and may be started again for each turn. Pieces
may be cut anywhere, also within a head.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from engine.sound.kinds import kind_of
from engine.sound.tools import container_of

# What a recording begins with; None is any byte. After the mark of EBML come a size, in one of
# these lengths, and an element of its head.
_ID3 = (*b"ID3",)
_HEADS: tuple[tuple[int | None, ...], ...] = (
    (*b"\x1a\x45\xdf\xa3", None, 0x42),
    (*b"\x1a\x45\xdf\xa3\x40", None, 0x42),
    (*b"\x1a\x45\xdf\xa3\x10\0\0", None, 0x42),
    (*b"\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0", None, 0x42),
    # The first page of a stream, which has no sound.
    (*b"OggS\0\2\0\0\0\0\0\0\0\0",),
    *((*_ID3, version, 0, *[None] * 5) for version in (2, 3, 4)),
    (*b"\0\0\0", None, *b"ftyp"),
    (*b"RIFF", None, None, None, None, *b"WAVE"),
    (*b"fLaC\0\0\0\x22",),
)
_LONGEST = max(map(len, _HEADS))
# So many bytes tell the kind.
_LEAST = 12
# The head of the tags before an MP3 file, whose last bytes have its size in seven bits each.
_TAGS, _BITS = 10, 7


class Part(NamedTuple):
    """Bytes of a recording: of a new one if ``begins``.

    ``container`` is that of its file, as PyAV calls it; "" if it is not known.
    """

    data: bytes
    begins: bool = False
    container: str = ""


class Recordings:
    """Takes the pieces of a sound in their order."""

    def __init__(self) -> None:
        self._under_way = False
        self._rest = b""
        # How many bytes of tags are still to come.
        self._tags = 0

    def feed(self, piece: bytes) -> list[Part]:
        """Return what is certain by now of the recordings in the next piece."""
        whole = self._rest + piece
        data, self._rest = _split(whole)
        if not self._under_way and len(data) < _LEAST:
            data, self._rest = b"", whole
        return self._parts(data)

    def flush(self) -> list[Part]:
        """Return the rest, as nothing more comes for now."""
        data, self._rest = self._rest, b""
        return self._parts(data)

    def stop(self) -> None:
        """Take what comes next for the beginning of a recording: the last one was at fault."""
        self._under_way = False

    def _parts(self, data: bytes) -> list[Part]:
        if not data:
            return []
        found: list[Part] = []
        starts = [match.start() for match in _ANY.finditer(data)]
        if not self._under_way and 0 not in starts:
            starts.insert(0, 0)
        if first := self._without_tags(data[: starts[0]] if starts else data):
            found.append(Part(first))
        for start, end in pairwise([*starts, len(data)]):
            found.append(self._begun(data[start:end]))
        return found

    def _begun(self, data: bytes) -> Part:
        kind = kind_of(data)
        container = container_of(kind) if kind else ""
        self._under_way = bool(container)
        self._tags = 0
        if data.startswith(bytes(_ID3)) and len(data) >= _TAGS:
            size = 0
            for bits in data[_TAGS - 4 : _TAGS]:
                size = size << _BITS | bits
            self._tags = _TAGS + size
        return Part(self._without_tags(data), begins=True, container=container)

    def _without_tags(self, data: bytes) -> bytes:
        cut = min(self._tags, len(data))
        self._tags -= cut
        return data[cut:]


def _pattern(head: tuple[int | None, ...]) -> bytes:
    return b"".join(b"." if byte is None else re.escape(bytes([byte])) for byte in head)


_ANY = re.compile(b"|".join(map(_pattern, _HEADS)), re.DOTALL)


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return the data, and its end if that may be the beginning of a head."""
    whole = max((match.end() for match in _ANY.finditer(data)), default=0)
    for at in range(max(whole, len(data) - _LONGEST + 1), len(data)):
        end = data[at:]
        if any(len(end) < len(head) and _fits(end, head) for head in _HEADS):
            return data[:at], end
    return data, b""


def _fits(data: bytes, head: tuple[int | None, ...]) -> bool:
    return all(wanted in (None, byte) for byte, wanted in zip(data, head, strict=False))
