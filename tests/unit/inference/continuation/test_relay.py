"""inference/continuation/relay.py: whose answers may go on."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from builders import chat, model

from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.relay import CODECS, Eligibility, continuing
from models.requests import endpoints
from models.sizing import PromptSize, Source

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from inference.continuation.codec import Codec
    from inference.upstream_call import UpstreamCall

GROWING = model(100, 200, grow_answers=True)


def test_an_endpoint_has_a_codec_where_its_answers_grow() -> None:
    assert {endpoint for endpoint in endpoints.ENDPOINTS if endpoint.grows} == set(CODECS)
    for endpoint in endpoints.ENDPOINTS:
        assert Eligibility().codec(GROWING, endpoint) is CODECS.get(endpoint)


def test_answers_of_a_model_that_shall_not_grow_do_not() -> None:
    assert Eligibility().codec(model(100, 200, grow_answers=False), endpoints.CHAT) is None


def test_a_model_that_answers_anew_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    eligibility = Eligibility()
    with caplog.at_level(logging.WARNING):
        eligibility.answered_anew(GROWING)
        eligibility.answered_anew(GROWING)
    assert len(caplog.records) == 1
    assert eligibility.codec(GROWING, endpoints.CHAT) is None
    # Nothing stands between a text completion and the model.
    assert eligibility.codec(GROWING, endpoints.COMPLETION) is COMPLETION
    # Defined otherwise, it may have another template.
    other = model(100, 400, grow_answers=True)
    assert eligibility.codec(other, endpoints.CHAT) is CHAT


WHOLE = b'{"choices":[],"usage":{"completion_tokens":%d,"prompt_tokens":20}}'


def is_looked_at(
    body: bytes = b"", limit: int | None = None, *, failed: bool = False, may: bool = True
) -> bool:
    """Return whether an answer in a context of 100 tokens is read as one that may go on.

    Without a ``body`` it is a stream.
    """
    facts = chat("hi") if limit is None else chat("hi", max_tokens=limit)
    size = PromptSize(20, 20, Source.ENGINE)
    asked = SimpleNamespace(facts=facts, model=GROWING)
    call = SimpleNamespace(may_continue=may, context=100, size=size, call=asked)
    kind = "application/json" if body else "text/event-stream"
    upstream = SimpleNamespace(
        failed=failed, whole=bool(body), first=body, headers={"Content-Type": kind}
    )
    found = continuing(
        cast("UpstreamCall", call), cast("UpstreamResponse", upstream), Eligibility()
    )
    return found is not None


def test_only_an_answer_that_may_fill_its_context_is_looked_at() -> None:
    assert is_looked_at()
    assert is_looked_at(limit=76)
    assert not is_looked_at(limit=75)
    assert is_looked_at(WHOLE % 76)
    assert not is_looked_at(WHOLE % 75)
    assert not is_looked_at(WHOLE % 80, limit=75)
    # One that tells no counts may have.
    assert is_looked_at(b"{}")
    assert not is_looked_at(failed=True)
    assert not is_looked_at(may=False)


@pytest.mark.parametrize(
    ("codec", "end"),
    [
        (CHAT, b'"finish_reason":"length"'),
        (CHAT, b'"finish_reason" : "length"'),
        (COMPLETION, b'"finish_reason": "length"'),
    ],
)
def test_what_may_be_an_end_has_its_mark(codec: Codec, end: bytes) -> None:
    assert codec.end.search(end) is not None
    assert codec.mark in end
