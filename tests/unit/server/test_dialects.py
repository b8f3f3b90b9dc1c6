"""server/dialects.py: how a failure is written for OpenAI's clients and Anthropic's."""

from __future__ import annotations

import json

import pytest

from server.dialects import ANTHROPIC, OPENAI, dialect_of
from server.errors import as_event, as_json
from utils import errors

PAGE = b'{"error":{"code":400,"message":"bad","type":"invalid_request_error"}}'


@pytest.mark.parametrize(
    ("path", "version", "dialect"),
    [
        ("/v1/messages", False, ANTHROPIC),
        ("/v1/messages/count_tokens", False, ANTHROPIC),
        ("/v1/chat/completions", False, OPENAI),
        ("/v1/chat/completions", True, OPENAI),
        ("/v1/models/x", True, ANTHROPIC),
        ("/v1/v1/messages", True, ANTHROPIC),
        ("/", False, OPENAI),
    ],
)
def test_path_and_header_tell_the_dialect(path: str, version: bool, dialect: object) -> None:
    assert dialect_of(path, {"anthropic-version": "2023-06-01"} if version else {}) is dialect


def test_openai_is_what_the_table_says() -> None:
    error = errors.BadRequest("no", param="x")
    assert OPENAI.body(error) == as_json(error)
    assert OPENAI.event(PAGE) == as_event(PAGE)
    assert OPENAI.page(400, PAGE) is PAGE


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.BadRequest("no"), "invalid_request_error"),
        (errors.ModelNotFound("no"), "not_found_error"),
        (errors.WrongMethod("no", ()), "invalid_request_error"),
        (errors.RequestTooLarge("no"), "request_too_large"),
        (errors.QueueFull("no", 1.0), "rate_limit_error"),
        (errors.ShuttingDown("no"), "overloaded_error"),
        (errors.EngineBroke("no"), "api_error"),
        (errors.GatewayError("no"), "api_error"),
    ],
)
def test_anthropic_s_shape(error: errors.GatewayError, kind: str) -> None:
    body = ANTHROPIC.body(error)
    assert json.loads(body) == {"type": "error", "error": {"type": kind, "message": "no"}}
    assert ANTHROPIC.event(body) == b"event: error\ndata: " + body + b"\n\n"


def test_too_long_a_prompt_is_told_in_words_that_clients_look_for() -> None:
    told = json.loads(ANTHROPIC.body(errors.ContextLengthExceeded("m", 9000, 8192)))["error"]
    assert told["type"] == "invalid_request_error"
    assert told["message"].startswith("prompt is too long: 9000 tokens > 8192 maximum")


def test_an_engine_s_page_is_translated() -> None:
    assert json.loads(ANTHROPIC.page(400, PAGE)) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "bad"},
    }


@pytest.mark.parametrize("page", [b"<html>", b"[]", b"{}", b'{"error":5}', b'{"type":"error"}'])
def test_a_page_that_cannot_be_translated_stays(page: bytes) -> None:
    assert ANTHROPIC.page(500, page) is page
