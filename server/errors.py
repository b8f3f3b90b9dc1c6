"""The one table of failures: HTTP status, OpenAI type and code; and how they are written. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from utils import errors

if TYPE_CHECKING:
    from collections.abc import Mapping


class Shape(NamedTuple):
    """The status, type and code that a client gets."""

    status: int
    type: str
    code: str


_INVALID = "invalid_request_error"
_BUSY = "service_unavailable_error"
_UPSTREAM = "upstream_error"
_HUB = "hub_error"

# The first class that an error is an instance of decides, so the special precede the general.
TABLE: tuple[tuple[type[errors.GatewayError], Shape], ...] = (
    (errors.RequestTooLarge, Shape(413, _INVALID, "request_too_large")),
    (errors.UnsupportedSound, Shape(415, _INVALID, "unsupported_media_type")),
    (errors.BodiesTooLarge, Shape(503, _BUSY, "bodies_too_large")),
    (errors.StorageFull, Shape(507, "server_error", "insufficient_storage")),
    (errors.ModelNotFound, Shape(404, _INVALID, "model_not_found")),
    (errors.ContextLengthExceeded, Shape(400, _INVALID, "context_length_exceeded")),
    (errors.NotCapable, Shape(400, _INVALID, "capability_missing")),
    (errors.BadRequest, Shape(400, _INVALID, "invalid_request")),
    (errors.UnknownPath, Shape(404, _INVALID, "unknown_path")),
    (errors.WrongMethod, Shape(405, _INVALID, "method_not_allowed")),
    (errors.LoopDetected, Shape(508, _INVALID, "loop_detected")),
    (errors.RequestTimeout, Shape(408, _INVALID, "request_timeout")),
    (errors.TooManyConnections, Shape(503, _BUSY, "too_many_connections")),
    (errors.HostRefused, Shape(421, _INVALID, "host_not_served")),
    (errors.ActionRefused, Shape(403, "permission_error", "action_refused")),
    (errors.OriginRefused, Shape(403, "permission_error", "origin_not_allowed")),
    (errors.NotAuthenticated, Shape(401, "authentication_error", "admin_token_required")),
    (errors.KeyRefused, Shape(401, "authentication_error", "invalid_api_key")),
    (errors.ModelNotPermitted, Shape(403, "permission_error", "model_not_permitted")),
    (errors.NotPermitted, Shape(403, "permission_error", "not_permitted")),
    (errors.InsufficientQuota, Shape(402, "insufficient_quota", "insufficient_quota")),
    (errors.RateLimited, Shape(429, "rate_limit_error", "rate_limit_exceeded")),
    (errors.AccountsUnavailable, Shape(503, _BUSY, "accounts_unavailable")),
    (errors.RequestCancelled, Shape(503, _BUSY, "request_cancelled")),
    (errors.UnknownRequest, Shape(404, _INVALID, "unknown_request")),
    (errors.LoginRefused, Shape(401, "authentication_error", "login_refused")),
    (errors.TooManyLogins, Shape(429, "rate_limit_error", "too_many_tries")),
    (errors.AlreadyThere, Shape(409, _INVALID, "already_exists")),
    (errors.UnknownSlot, Shape(404, _INVALID, "unknown_slot")),
    (errors.SlotTaken, Shape(409, _INVALID, "slot_taken")),
    (errors.ConfigError, Shape(400, _INVALID, "config_invalid")),
    (errors.ModelNotLoaded, Shape(503, _BUSY, "model_not_loaded")),
    (errors.VoiceUnavailable, Shape(503, _BUSY, "voice_unavailable")),
    (errors.StreamNotFound, Shape(404, _INVALID, "stream_not_found")),
    (errors.NotStored, Shape(404, _INVALID, "not_found")),
    (errors.EarlierNotStored, Shape(400, _INVALID, "previous_response_not_found")),
    (errors.QueueFull, Shape(429, "rate_limit_error", "queue_full")),
    (errors.EngineBusy, Shape(503, _BUSY, "engine_busy")),
    (errors.ShuttingDown, Shape(503, _BUSY, "shutting_down")),
    (errors.ConfigurationChanged, Shape(503, _BUSY, "configuration_changed")),
    (errors.ModelMissing, Shape(503, _BUSY, "model_file_missing")),
    (errors.ModelDownloading, Shape(503, _BUSY, "model_downloading")),
    (errors.ModelUnread, Shape(503, _BUSY, "model_not_read")),
    (errors.ModelInUse, Shape(409, _INVALID, "model_in_use")),
    (errors.UnknownPull, Shape(404, _INVALID, "unknown_pull")),
    (errors.HubTokenMissing, Shape(401, _HUB, "hf_token_missing")),
    (errors.HubAccessNotGranted, Shape(403, _HUB, "hf_access_not_granted")),
    (errors.HubNotFound, Shape(404, _HUB, "hf_not_found")),
    (errors.HubAnsweredWrong, Shape(502, _HUB, "hf_answered_wrong")),
    (errors.HubUnavailable, Shape(503, _HUB, "hf_unavailable")),
    (errors.HubOffline, Shape(503, _HUB, "hf_offline")),
    (errors.DownloadCorrupt, Shape(502, _HUB, "corrupt")),
    (errors.DiskFull, Shape(507, "server_error", "disk_full")),
    (errors.EngineStartTimeout, Shape(504, _UPSTREAM, "engine_start_timeout")),
    (errors.EngineOutOfMemory, Shape(503, _UPSTREAM, "engine_out_of_memory")),
    (errors.EngineStartFailed, Shape(503, _UPSTREAM, "engine_start_failed")),
    (errors.EngineUnreachable, Shape(502, _UPSTREAM, "engine_unreachable")),
    (errors.EngineUnresponsive, Shape(504, _UPSTREAM, "engine_unresponsive")),
    (errors.EngineBroke, Shape(502, _UPSTREAM, "engine_broke")),
    (errors.EngineRefused, Shape(502, _UPSTREAM, "engine_error")),
    (errors.GatewayError, Shape(500, "server_error", "internal_error")),
)


def shape_of(error: errors.GatewayError) -> Shape:
    """Return the row of the table for ``error``."""
    return next(shape for kind, shape in TABLE if isinstance(error, kind))


def retry_after(error: errors.GatewayError) -> int | None:
    """Return whole seconds for the Retry-After header, or None where waiting does not help."""
    seconds: float | None = getattr(error, "retry_after", None)
    if isinstance(error, errors.ConfigurationChanged):
        return 1
    if seconds is None and isinstance(error, errors.ShuttingDown):
        return 5
    return None if seconds is None else max(1, math.ceil(seconds))


def as_json(error: errors.GatewayError) -> bytes:
    """Return the body of an error response in the shape of the OpenAI API."""
    shape = shape_of(error)
    body: dict[str, Any] = {
        "message": error.message,
        "type": shape.type,
        "param": error.param,
        "code": shape.code,
    }
    if isinstance(error, errors.ContextLengthExceeded):
        body |= {"n_prompt_tokens": error.prompt_tokens, "n_ctx": error.largest}
    if isinstance(error, errors.ConfigError):
        body |= {"faults": list(error.faults)}
    return orjson.dumps({"error": body})


def as_response(error: errors.GatewayError, headers: Mapping[str, str]) -> bytes:
    """Return the whole response for a request that could not be read; the connection closes."""
    body = as_json(error)
    told = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    status = f"HTTP/1.1 {shape_of(error).status} {type(error).__name__}\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{status}{lines}\r\n".encode() + body


def as_event(body: bytes) -> bytes:
    """Return an error body as the event that ends a stream which has begun."""
    return b"data: " + b" ".join(body.splitlines()) + b"\n\n"


def is_error(body: bytes) -> bool:
    """Return whether the body has OpenAI's shape of an error, and so may be sent as an event."""
    try:
        return isinstance(orjson.loads(body)["error"], dict)
    except (ValueError, KeyError, TypeError, IndexError):
        return False
