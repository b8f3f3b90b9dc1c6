"""server/engine_errors.py: what an engine's error page says, as fields of OpenAI's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import ANY_JSON, from_bytes

from server.engine_errors import EngineFault, fault_in, is_openai

INVALID = "invalid_request_error"


def page(**error: Any) -> bytes:
    return json.dumps({"error": error}).encode()


def told(status: int, body: bytes) -> EngineFault:
    fault = fault_in(status, body)
    assert fault is not None
    return fault


@pytest.mark.parametrize(
    ("status", "message", "told_status", "code", "param"),
    [
        (400, "Failed to parse grammar", 400, "invalid_request", None),
        (400, "Field 'n': Value must be between 1 and 1", 400, "invalid_request", "n"),
        (500, "Compute error.", 500, "engine_error", None),
        (503, "Loading model", 503, "engine_error", None),
        (429, "slow down", 429, "rate_limit_exceeded", None),
    ],
)
def test_llama_server_s_errors(
    status: int, message: str, told_status: int, code: str, param: str | None
) -> None:
    fault = told(status, page(code=status, message=message, type="server_error"))
    assert (fault.status, fault.message, fault.code, fault.param) == (
        told_status,
        message,
        code,
        param,
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"no"}',
        b'{"detail":"no"}',
        b'{"object":"error","message":"no","type":"x","code":404}',
        b'{"error":{"detail":"no"}}',
    ],
)
def test_shapes_of_other_engines(body: bytes) -> None:
    assert (told(404, body).message, told(404, body).code) == ("no", "not_found")


@pytest.mark.parametrize(
    "error",
    [
        {"type": "exceed_context_size_error", "message": "x", "n_prompt_tokens": 9, "n_ctx": 8},
        {"type": INVALID, "message": "the request exceeds the available context size"},
        {"code": "context_length_exceeded", "message": "no"},
        {"message": "This model's maximum context length is 8 tokens"},
    ],
)
def test_too_long_is_recognised(error: dict[str, Any]) -> None:
    fault = told(500, page(**error))
    assert fault[0] == 400
    assert fault[2:5] == (INVALID, "context_length_exceeded", "messages")
    if fault.numbers:
        assert "maximum context length is 8 tokens" in fault.message


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"error":5}', b'{"error":{"message":""}}', b"\xff"]
)
def test_a_page_without_a_message_is_not_read(body: bytes) -> None:
    assert fault_in(500, body) is None


def test_openai_s_own_shape_is_known() -> None:
    assert is_openai(page(message="no", type="x", param=None, code=None))
    assert is_openai(page(message="no", type="x", param="n", code="bad"))
    for other in (page(message="no", code=400), page(message="no", param=None, code=5), b"[", b"5"):
        assert not is_openai(other)


@given(
    value=ANY_JSON | from_bytes(lambda parts: parts.value(names=("error", "code", "x"))),
    status=st.integers(400, 599),
)
def test_no_page_breaks_the_reader(value: Any, status: int) -> None:
    body = json.dumps(value).encode()
    is_openai(body)
    fault_in(status, body)
