"""Read an engine's error page, to tell its error in the API of the client. Pure.

Engines have shapes of their own: some write a number as ``code``, others a bare text or
``detail``.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from utils.errors import too_long_message

_INVALID = "invalid_request_error"
_TOO_LONG = "context_length_exceeded"
_CODES = {
    400: "invalid_request",
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    413: "request_too_large",
    429: "rate_limit_exceeded",
}
_EXCEEDED = re.compile(
    r"exceed_context_size|context_length_exceeded|exceeds the available context size"
    r"|maximum context length",
    re.IGNORECASE,
)
# Some name the field of the request in this way.
_FIELD = re.compile(r"Field '([\w.]{1,64})':")


class EngineFault(NamedTuple):
    """An engine's error: the status for the client, and the fields of OpenAI's shape.

    ``numbers`` has the tokens of prompt and context, where the engine told them.
    """

    status: int
    message: str
    type: str
    code: str
    param: str | None
    numbers: dict[str, int]


def fault_in(status: int, page: bytes) -> EngineFault | None:
    """Return the error of an engine's page; None if it has no message that can be told."""
    try:
        body = orjson.loads(page)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    error = body.get("error", body)
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return None
    message = error.get("message", error.get("detail"))
    return _fault(status, message, error) if isinstance(message, str) and message else None


def is_openai(page: bytes) -> bool:
    """Return whether the page is an error as OpenAI's API writes it, and can stay as it is."""
    try:
        error = orjson.loads(page)["error"]
        code = error["code"]
        return isinstance(error["message"], str) and "param" in error and not _is_number(code)
    except (ValueError, KeyError, TypeError):
        return False


def _fault(status: int, message: str, error: dict[str, Any]) -> EngineFault:
    kind, code, param = (_text(error.get(name)) for name in ("type", "code", "param"))
    numbers = {
        name: error[name] for name in ("n_prompt_tokens", "n_ctx") if _is_number(error.get(name))
    }
    if _EXCEEDED.search(f"{kind} {code} {message}"):
        if len(numbers) == len(("n_prompt_tokens", "n_ctx")):
            message = too_long_message(**numbers)
        return EngineFault(400, message, _INVALID, _TOO_LONG, param or "messages", numbers)
    if kind is None or status < HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = _INVALID if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
    if not param and (field := _FIELD.search(message)):
        param = field[1]
    code = code or _CODES.get(status, "engine_error")
    return EngineFault(status, message, kind, code, param, numbers)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
