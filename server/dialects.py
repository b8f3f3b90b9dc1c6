"""How a failure is written: in OpenAI's shape, or in Anthropic's for its clients. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from models.requests.endpoints import BY_PATH
from server.anthropic_models import VERSION
from server.errors import as_event, as_json, shape_of
from utils.errors import ContextLengthExceeded, GatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Anthropic's word for a status, where its clients know one.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Dialect:
    """OpenAI's shape, which engines speak too."""

    translates = False

    def body(self, error: GatewayError) -> bytes:
        """Return the body of an error response."""
        return as_json(error)

    def event(self, body: bytes) -> bytes:
        """Return an error body as the event that ends a stream which has begun."""
        return as_event(body)

    def page(self, status: int, body: bytes) -> bytes:
        """Return an engine's error page in this shape; unchanged where it cannot be translated."""
        del status
        return body


class Anthropic(Dialect):
    """The shape that clients of ``/v1/messages`` expect."""

    translates = True

    def body(self, error: GatewayError) -> bytes:
        """Return the body of an error response."""
        message = error.message
        if isinstance(error, ContextLengthExceeded):
            # In these words clients recognise that a conversation must be shortened.
            message = (
                f"prompt is too long: {error.prompt_tokens} tokens > {error.largest} maximum."
                f" {message}"
            )
        return _written(shape_of(error).status, message)

    def event(self, body: bytes) -> bytes:
        """Return an error body as the event that ends a stream which has begun."""
        return b"event: error\n" + as_event(body)

    def page(self, status: int, body: bytes) -> bytes:
        """Return an engine's error page in this shape; unchanged where it cannot be translated."""
        try:
            page: Any = orjson.loads(body)
            if page.get("type") == "error":
                return body
            message = page["error"]["message"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return body
        return _written(status, str(message))


OPENAI = Dialect()
ANTHROPIC = Anthropic()


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """Return the dialect of the clients that use ``path``.

    Where clients of several APIs use it, the header that Anthropic's send decides.
    """
    if path.startswith("/v1/messages") or (path not in BY_PATH and VERSION in headers):
        return ANTHROPIC
    return OPENAI


def _written(status: int, message: str) -> bytes:
    kind = _TYPES.get(status, "api_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})
