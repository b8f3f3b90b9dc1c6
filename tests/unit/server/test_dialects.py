"""server/dialects.py: how a failure is written for OpenAI's clients and Anthropic's."""

from __future__ import annotations

import json
import re

import pytest

from server.dialects import ANTHROPIC, OLLAMA, OPENAI, Dialect, dialect_of
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
        ("/api/chat", False, OLLAMA),
        ("/api/unknown", False, OLLAMA),
        ("/api/v0/models", False, OPENAI),
    ],
)
def test_path_and_header_tell_the_dialect(path: str, version: bool, dialect: object) -> None:
    assert dialect_of(path, {"anthropic-version": "2023-06-01"} if version else {}) is dialect


def test_ollamas_errors_are_a_text() -> None:
    error = errors.BadRequest("No 'x' here.", param="x")
    assert OLLAMA.body(error) == b'{"error":"No \'x\' here."}'
    missing = errors.ModelNotFound("There is none.", name="m:7b")
    assert json.loads(OLLAMA.body(missing)) == {"error": "model 'm:7b' not found. There is none."}
    assert OLLAMA.event(b'{"error":\n"x"}') == b'{"error": "x"}\n'
    assert OLLAMA.page(400, PAGE) == (400, b'{"error":"bad"}')
    assert OLLAMA.page(502, b"<html>") == (502, b"<html>")


def test_openai_is_what_the_table_says() -> None:
    error = errors.BadRequest("no", param="x")
    assert OPENAI.body(error) == as_json(error)
    assert OPENAI.event(PAGE) == as_event(PAGE)
    done = as_json(error)
    assert OPENAI.page(400, done) == (400, done)


def test_an_engine_s_page_gets_openai_s_shape() -> None:
    status, body = OPENAI.page(400, PAGE)
    assert status == 400
    assert json.loads(body)["error"] == {
        "message": "bad",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_request",
    }


def test_an_engine_s_too_long_has_the_words_that_clients_look_for() -> None:
    page = b'{"error":{"type":"exceed_context_size_error","message":"x",'
    page += b'"n_prompt_tokens":9000,"n_ctx":8192}}'
    status, body = OPENAI.page(400, page)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["n_ctx"]) == (400, "context_length_exceeded", 8192)
    assert "maximum context length is 8192 tokens" in error["message"]
    status, body = ANTHROPIC.page(400, page)
    start = "prompt is too long: 9000 tokens > 8192 maximum"
    assert json.loads(body)["error"]["message"].startswith(start)


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


# What clients search for in the message or the body of an error with the status 400.
WORDS = (
    # litellm, and aider with it.
    r"this model's maximum context length is",
    # Agents that read the number: OpenAI's own words.
    r"maximum context length is \d+ tokens",
    # LangChain and Cline.
    r"context_length_exceeded",
    r"\bcontext\s*(?:length|window)\b",
    # Those that know llama-server.
    r"exceeds the available context size",
    r"messages resulted in \d+ tokens",
    # pydantic-ai and agents.
    r"reduce the length of the messages",
)


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_each_client_stand_in_the_message(dialect: Dialect, words: str) -> None:
    body = dialect.body(errors.ContextLengthExceeded("m", 9000, 8192))
    assert re.search(words, json.loads(body)["error"]["message"], re.IGNORECASE)


def test_too_long_a_prompt_is_told_in_words_that_clients_look_for() -> None:
    told = json.loads(ANTHROPIC.body(errors.ContextLengthExceeded("m", 9000, 8192)))["error"]
    assert told["type"] == "invalid_request_error"
    assert told["message"].startswith("prompt is too long: 9000 tokens > 8192 maximum")


def test_an_engine_s_page_is_translated() -> None:
    assert json.loads(ANTHROPIC.page(400, PAGE).body) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "bad"},
    }


@pytest.mark.parametrize("page", [b"<html>", b"[]", b"{}", b'{"error":5}', b'{"type":"error"}'])
def test_a_page_that_cannot_be_translated_stays(page: bytes) -> None:
    assert ANTHROPIC.page(500, page) == (500, page)
