"""Which errors of llama-server are faults of the request, whatever their status. Pure."""

from __future__ import annotations

import re

import orjson

_OWN_FAULT = 500
_UNSUPPORTED = 501
# Its words for requests that it can never answer, under the status 500.
_WORDS = re.compile(
    r"failed to parse|jinja|chat template|json\.exception|unsupported|not supported"
    r"|does not support|missing |must be |must have |invalid ",
    re.IGNORECASE,
)


def is_of_request(status: int, page: bytes) -> bool:
    """Return whether the error page tells a fault of the request, under a status that denies it."""
    if status == _UNSUPPORTED:
        return True
    if status != _OWN_FAULT:
        return False
    try:
        return _WORDS.search(orjson.loads(page)["error"]["message"]) is not None
    except (ValueError, KeyError, TypeError):
        return False
