"""How a failure is written: in the shape that the API of the client has for it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from models.requests.endpoints import BY_PATH
from server.anthropic_models import VERSION
from server.engine_errors import fault_in, is_openai
from server.errors import as_event, as_json, shape_of
from utils.errors import ContextLengthExceeded, GatewayError, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

# Anthropic's word for a status, where its clients know one.
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Page(NamedTuple):
    """An error response: its status and its body."""

    status: int
    body: bytes


class Dialect:
    """OpenAI's shape."""

    def body(self, error: GatewayError) -> bytes:
        """Return the body of an error response."""
        return as_json(error)

    def event(self, body: bytes) -> bytes:
        """Return an error body as the event that ends a stream which has begun."""
        return as_event(body)

    def page(self, status: int, body: bytes) -> Page:
        """Return an engine's error page in this shape; unchanged where it cannot be translated."""
        fault = None if is_openai(body) else fault_in(status, body)
        if fault is None:
            return Page(status, body)
        error = {
            "message": fault.message,
            "type": fault.type,
            "param": fault.param,
            "code": fault.code,
            **fault.numbers,
        }
        return Page(fault.status, orjson.dumps({"error": error}))


class Anthropic(Dialect):
    """The shape that clients of ``/v1/messages`` expect."""

    def body(self, error: GatewayError) -> bytes:
        """Return the body of an error response."""
        message = error.message
        if isinstance(error, ContextLengthExceeded):
            message = _too_long(error.prompt_tokens, error.largest, message)
        return _written(shape_of(error).status, message)

    def event(self, body: bytes) -> bytes:
        """Return an error body as the event that ends a stream which has begun."""
        return b"event: error\n" + as_event(body)

    def page(self, status: int, body: bytes) -> Page:
        """Return an engine's error page in this shape; unchanged where it cannot be translated."""
        fault = None if b'"type":"error"' in body else fault_in(status, body)
        if fault is None:
            return Page(status, body)
        message = fault.message
        if fault.numbers:
            prompt, context = fault.numbers.get("n_prompt_tokens"), fault.numbers.get("n_ctx")
            if prompt is not None and context is not None:
                message = _too_long(prompt, context, message)
        return Page(fault.status, _written(fault.status, message))


class Ollama(Dialect):
    """The shape that clients of Ollama's API expect: a text."""

    def body(self, error: GatewayError) -> bytes:
        """Return the body of an error response."""
        message = error.message
        if isinstance(error, ModelNotFound) and error.name:
            # In these words clients recognise that a model is missing.
            message = f"model '{error.name}' not found. {message}"
        return orjson.dumps({"error": message})

    def event(self, body: bytes) -> bytes:
        """Return an error body as the line that ends a stream which has begun."""
        return b" ".join(body.splitlines()) + b"\n"

    def page(self, status: int, body: bytes) -> Page:
        """Return an engine's error page in this shape; unchanged where it cannot be translated."""
        fault = fault_in(status, body)
        if fault is None:
            return Page(status, body)
        return Page(fault.status, orjson.dumps({"error": fault.message}))


OPENAI = Dialect()
ANTHROPIC = Anthropic()
OLLAMA = Ollama()
# Below the second one the gateway speaks OpenAI's API, as LM Studio does.
_OLLAMA, _LM_STUDIO = "/api/", "/api/v0/"
_OUR_OWN = frozenset({"/api/models", "/api/uptime", "/api/signup"})


def dialect_of(path: str, headers: Mapping[str, str]) -> Dialect:
    """Return the dialect of the clients that use ``path``.

    Where clients of several APIs use it, the header that Anthropic's send decides.
    """
    if path.startswith("/v1/messages") or (path not in BY_PATH and VERSION in headers):
        return ANTHROPIC
    if path.startswith(_OLLAMA) and not path.startswith(_LM_STUDIO) and path not in _OUR_OWN:
        return OLLAMA
    return OPENAI


def _too_long(prompt: int, context: int, message: str) -> str:
    """Return the message after the words by which Anthropic's clients recognise the error."""
    return f"prompt is too long: {prompt} tokens > {context} maximum. {message}"


def _written(status: int, message: str) -> bytes:
    kind = _TYPES.get(status, "api_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})
