"""How other servers are asked for the tokens of a prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.generic.counting import question
from models.requests.endpoints import CHAT, COMPLETION, EMBEDDINGS, Endpoint
from models.requests.reader import parse

MESSAGES = [{"role": "user", "content": "Hi"}]
TALK = {"model": "m", "messages": MESSAGES, "temperature": 1}
TEXT = {"model": "m", "prompt": "Hi"}


def asked(server: str, endpoint: Endpoint, request: dict[str, Any]) -> tuple[str, Any, str] | None:
    found = question(server, parse(endpoint, json.dumps(request).encode()))
    return None if found is None else (found.path, json.loads(found.body), found.field)


@pytest.mark.parametrize(
    ("server", "endpoint", "request_", "expected"),
    [
        ("vllm", CHAT, TALK, ("/tokenize", {"model": "m", "messages": MESSAGES}, "count")),
        ("vllm", COMPLETION, TEXT, ("/tokenize", TEXT, "count")),
        ("tabbyapi", CHAT, TALK, None),
        ("tabbyapi", COMPLETION, TEXT, ("/v1/token/encode", {"text": "Hi"}, "length")),
        ("koboldcpp", COMPLETION, TEXT, ("/api/extra/tokencount", {"prompt": "Hi"}, "value")),
        ("koboldcpp", CHAT, TALK, None),
        ("vllm", COMPLETION, {"prompt": ["a", "b"]}, None),
        ("vllm", EMBEDDINGS, {"input": "a"}, None),
        ("", CHAT, TALK, None),
    ],
)
def test_questions(server: str, endpoint: Endpoint, request_: Any, expected: Any) -> None:
    assert asked(server, endpoint, request_) == expected
