"""shared_context.py: how long an answer may be where slots share one context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from engine.llamacpp.shared_context import limited
from models.requests import endpoints

if TYPE_CHECKING:
    from models.requests.endpoints import Endpoint


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        (endpoints.CHAT, "max_tokens"),
        (endpoints.COMPLETION, "max_tokens"),
        (endpoints.INFILL, "max_tokens"),
        (endpoints.MESSAGES, "max_tokens"),
    ],
)
def test_an_answer_without_a_limit_gets_one(endpoint: Endpoint, field: str) -> None:
    assert orjson.loads(limited(b'{"prompt":"x"}', endpoint, 9)) == {"prompt": "x", field: 9}


@pytest.mark.parametrize(
    ("own", "then"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        ({"n_predict": 0}, {"n_predict": 0}),
        ({"max_completion_tokens": 10}, {"max_tokens": 9}),
        ({"max_tokens": -1}, {"max_tokens": 9}),
        ({"max_tokens": None, "n_predict": -1}, {"max_tokens": 9}),
        ({"max_tokens": "many"}, {"max_tokens": "many"}),
    ],
)
def test_the_lower_limit_counts(own: dict[str, Any], then: dict[str, Any]) -> None:
    assert orjson.loads(limited(orjson.dumps(own), endpoints.CHAT, 9)) == then


@pytest.mark.parametrize("body", [b"{", b"[]", b""])
def test_what_is_no_request_is_left_to_the_engine(body: bytes) -> None:
    assert limited(body, endpoints.CHAT, 9) == body
