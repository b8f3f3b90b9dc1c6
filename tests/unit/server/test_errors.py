"""server/errors.py: the table of failures, walked, and their two written forms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import TABLE, Shape, as_event, as_json, retry_after, shape_of
from utils import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID = "invalid_request_error"
SHAPES = {
    errors.GatewayError: Shape(500, "server_error", "internal_error"),
    errors.ConfigError: Shape(400, INVALID, "config_invalid"),
    errors.ConfigurationChanged: Shape(503, "service_unavailable_error", "configuration_changed"),
    errors.BadRequest: Shape(400, INVALID, "invalid_request"),
    errors.NotCapable: Shape(400, INVALID, "capability_missing"),
    errors.RequestTooLarge: Shape(413, INVALID, "request_too_large"),
    errors.UnsupportedSound: Shape(415, INVALID, "unsupported_media_type"),
    errors.BodiesTooLarge: Shape(503, "service_unavailable_error", "bodies_too_large"),
    errors.StorageFull: Shape(507, "server_error", "insufficient_storage"),
    errors.NotStored: Shape(404, INVALID, "not_found"),
    errors.EarlierNotStored: Shape(400, INVALID, "previous_response_not_found"),
    errors.VoiceUnavailable: Shape(503, "service_unavailable_error", "voice_unavailable"),
    errors.StreamNotFound: Shape(404, INVALID, "stream_not_found"),
    errors.ModelNotFound: Shape(404, INVALID, "model_not_found"),
    errors.ContextLengthExceeded: Shape(400, INVALID, "context_length_exceeded"),
    errors.ModelMissing: Shape(503, "service_unavailable_error", "model_file_missing"),
    errors.ModelDownloading: Shape(503, "service_unavailable_error", "model_downloading"),
    errors.ModelUnread: Shape(503, "service_unavailable_error", "model_not_read"),
    errors.LoginRefused: Shape(401, "authentication_error", "login_refused"),
    errors.TooManyLogins: Shape(429, "rate_limit_error", "too_many_tries"),
    errors.AlreadyThere: Shape(409, INVALID, "already_exists"),
    errors.UnknownSlot: Shape(404, INVALID, "unknown_slot"),
    errors.SlotTaken: Shape(409, INVALID, "slot_taken"),
    errors.ModelInUse: Shape(409, INVALID, "model_in_use"),
    errors.UnknownPull: Shape(404, INVALID, "unknown_pull"),
    errors.HubTokenMissing: Shape(401, "hub_error", "hf_token_missing"),
    errors.HubAccessNotGranted: Shape(403, "hub_error", "hf_access_not_granted"),
    errors.HubNotFound: Shape(404, "hub_error", "hf_not_found"),
    errors.HubAnsweredWrong: Shape(502, "hub_error", "hf_answered_wrong"),
    errors.HubUnavailable: Shape(503, "hub_error", "hf_unavailable"),
    errors.HubOffline: Shape(503, "hub_error", "hf_offline"),
    errors.DownloadCorrupt: Shape(502, "hub_error", "corrupt"),
    errors.DiskFull: Shape(507, "server_error", "disk_full"),
    errors.UnknownPath: Shape(404, INVALID, "unknown_path"),
    errors.WrongMethod: Shape(405, INVALID, "method_not_allowed"),
    errors.LoopDetected: Shape(508, INVALID, "loop_detected"),
    errors.RequestTimeout: Shape(408, INVALID, "request_timeout"),
    errors.TooManyConnections: Shape(503, "service_unavailable_error", "too_many_connections"),
    errors.HostRefused: Shape(421, INVALID, "host_not_served"),
    errors.ActionRefused: Shape(403, "permission_error", "action_refused"),
    errors.OriginRefused: Shape(403, "permission_error", "origin_not_allowed"),
    errors.NotAuthenticated: Shape(401, "authentication_error", "admin_token_required"),
    errors.KeyRefused: Shape(401, "authentication_error", "invalid_api_key"),
    errors.ModelNotPermitted: Shape(403, "permission_error", "model_not_permitted"),
    errors.NotPermitted: Shape(403, "permission_error", "not_permitted"),
    errors.InsufficientQuota: Shape(402, "insufficient_quota", "insufficient_quota"),
    errors.RateLimited: Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    errors.AccountsUnavailable: Shape(503, "service_unavailable_error", "accounts_unavailable"),
    errors.RequestCancelled: Shape(503, "service_unavailable_error", "request_cancelled"),
    errors.UnknownRequest: Shape(404, INVALID, "unknown_request"),
    errors.ModelNotLoaded: Shape(503, "service_unavailable_error", "model_not_loaded"),
    errors.EngineBusy: Shape(503, "service_unavailable_error", "engine_busy"),
    errors.QueueFull: Shape(429, "rate_limit_error", "queue_full"),
    errors.ShuttingDown: Shape(503, "service_unavailable_error", "shutting_down"),
    errors.EngineError: Shape(500, "server_error", "internal_error"),
    errors.EngineStartFailed: Shape(503, "upstream_error", "engine_start_failed"),
    errors.EngineOutOfMemory: Shape(503, "upstream_error", "engine_out_of_memory"),
    errors.EngineStartTimeout: Shape(504, "upstream_error", "engine_start_timeout"),
    errors.EngineUnreachable: Shape(502, "upstream_error", "engine_unreachable"),
    errors.EngineUnresponsive: Shape(504, "upstream_error", "engine_unresponsive"),
    errors.EngineBroke: Shape(502, "upstream_error", "engine_broke"),
    errors.EngineRefused: Shape(502, "upstream_error", "engine_error"),
    errors.CountUnavailable: Shape(500, "server_error", "internal_error"),
    errors.StateUnavailable: Shape(500, "server_error", "internal_error"),
}
MADE: dict[type[errors.GatewayError], errors.GatewayError] = {
    errors.ConfigError: errors.ConfigError("no", ("no",)),
    errors.ContextLengthExceeded: errors.ContextLengthExceeded("qwen", 9000, 8192),
    errors.WrongMethod: errors.WrongMethod("no", ("POST",)),
    errors.KeyRefused: errors.KeyRefused(),
    errors.RateLimited: errors.RateLimited("no", 2.1, {}),
    errors.QueueFull: errors.QueueFull("no", 2.1),
    errors.ModelDownloading: errors.ModelDownloading("no", 9.5),
    errors.HubUnavailable: errors.HubUnavailable("no", 30.0),
}


def family(kind: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


# Other tests may derive errors of their own.
KINDS = [kind for kind in family(errors.GatewayError) if kind.__module__ == errors.__name__]


def made(kind: type[errors.GatewayError]) -> errors.GatewayError:
    return MADE[kind] if kind in MADE else kind("no")


@pytest.mark.parametrize("kind", KINDS)
def test_each_failure_has_its_shape(kind: type[errors.GatewayError]) -> None:
    assert shape_of(made(kind)) == SHAPES[kind]


def test_every_row_is_reached_by_its_own_class() -> None:
    for kind, shape in TABLE:
        assert shape_of(made(kind)) is shape
    assert {kind for kind, _ in TABLE} <= set(KINDS)


def test_every_status_is_an_error_and_no_code_stands_twice() -> None:
    assert all(400 <= shape.status < 600 for _, shape in TABLE)
    codes = [shape.code for _, shape in TABLE]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("kind", KINDS)
def test_each_failure_as_json(kind: type[errors.GatewayError]) -> None:
    error = made(kind)
    body = json.loads(as_json(error))["error"]
    shape = SHAPES[kind]
    extra: dict[type[errors.GatewayError], dict[str, Any]] = {
        errors.ContextLengthExceeded: {"n_prompt_tokens": 9000, "n_ctx": 8192},
        errors.ConfigError: {"faults": ["no"]},
    }
    assert body == {
        "message": error.message,
        "type": shape.type,
        "param": error.param,
        "code": shape.code,
        **extra.get(kind, {}),
    }


def test_the_message_of_an_exceeded_context_tells_the_numbers() -> None:
    error = errors.ContextLengthExceeded("qwen", 9000, 8192)
    assert error.param == "messages"
    for fact in ("9000", "8192", "'qwen'"):
        assert fact in error.message


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.BadRequest("no"), None),
        (errors.EngineUnreachable("no"), None),
        (errors.ShuttingDown("no"), 5),
        (errors.ConfigurationChanged("no"), 1),
        (errors.QueueFull("no", 0.2), 1),
        (errors.QueueFull("no", 2.0), 2),
        (errors.QueueFull("no", 2.1), 3),
        (errors.EngineStartFailed("no"), 1),
        (errors.EngineStartFailed("no", 59.5), 60),
        (errors.EngineStartTimeout("no"), 1),
    ],
)
def test_when_to_try_again(error: errors.GatewayError, seconds: int | None) -> None:
    assert retry_after(error) == seconds


def test_faults_are_kept_with_the_error() -> None:
    assert errors.ConfigError("2 faults", ("a", "b")).faults == ("a", "b")
    assert errors.WrongMethod("no", ("POST", "GET")).allowed == ("POST", "GET")


def events_in(stream: bytes) -> list[Any]:
    """What a reader makes of a stream, by WHATWG HTML, 9.2.6: CR, LF and CRLF end a line."""
    events, data = [], []
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif data and not line:
            events.append(json.loads("\n".join(data)))
            data = []
    return events


def test_an_error_as_an_event() -> None:
    body = as_json(errors.EngineBroke("gone"))
    assert as_event(body) == b"data: " + body + b"\n\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\n\n"])
def test_a_body_of_several_lines_is_one_event(newline: str) -> None:
    body = json.dumps({"error": {"code": 400, "message": "too long"}}, indent=2)
    stream = as_event(body.replace("\n", newline).encode())
    assert stream.endswith(b"\n\n")
    assert events_in(stream) == [{"error": {"code": 400, "message": "too long"}}]


@given(st.text())
def test_any_message_arrives_whole(message: str) -> None:
    body = as_json(errors.GatewayError(message))
    [event] = events_in(as_event(body))
    assert event["error"]["message"] == message
