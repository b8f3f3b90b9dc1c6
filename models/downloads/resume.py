"""Continue a file where it stopped: what to ask, and where the answer's bytes belong. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE, _PARTIAL, _BEYOND = 200, 206, 416
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class WrongBody(Exception):
    """The answer is not the file, or not the part of it that was asked for."""


def asked(at: int, mark: str) -> dict[str, str]:
    """Return the headers that ask for the bytes from ``at`` on.

    ``mark`` is the ETag of the bytes that are there: if the server has other ones now, it sends the
    whole file. Only a strong ETag can say so.
    """
    if not at:
        return {}
    headers = {"Range": f"bytes={at}-"}
    if is_strong(mark):
        headers["If-Range"] = mark
    return headers


def is_strong(mark: str) -> bool:
    """Return whether two contents with this ETag are the same, byte by byte."""
    return mark.startswith('"')


def begins_at(status: int, headers: Mapping[str, str], at: int, size: int) -> int:
    """Return where in the file the body of this answer begins: at ``at``, or at its beginning.

    ``size`` is that of the file. Raises WrongBody if the body is not this file.
    """
    length = headers.get("Content-Length", "")
    told = int(length) if length.isascii() and length.isdecimal() else None
    if status == _WHOLE:
        # The server does not know ranges, or its file has changed.
        if told is not None and told != size:
            raise WrongBody(f"{told} bytes were answered for a file of {size}")
        return 0
    if status == _BEYOND:
        raise WrongBody(f"the server has no byte {at} of the file")
    found = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if status != _PARTIAL or found is None:
        raise WrongBody(f"the server answered {status} without a range")
    first, _, total = found.groups()
    if int(first) != at or total not in {str(size), "*"}:
        raise WrongBody(f"the server sent the range {found[0]} for byte {at} of {size}")
    return at
