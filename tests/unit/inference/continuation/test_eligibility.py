"""inference/continuation/eligibility.py: whose answers may go on."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from builders import chat, message, model

from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.eligibility import CODECS, Eligibility, cannot_fill, is_full
from inference.usage import Usage
from models.requests import endpoints
from models.sizing import UNCOUNTED, PromptSize, Source

if TYPE_CHECKING:
    from engine.upstream import UpstreamResponse
    from inference.continuation.codec import Codec
    from inference.upstream_call import UpstreamCall
    from models.requests.endpoints import Endpoint
    from models.spec import ModelSpec

GROWING = model(100, 200, grow_answers=True)


def codec_of(
    eligibility: Eligibility,
    growing: ModelSpec = GROWING,
    endpoint: Endpoint = endpoints.CHAT,
    *,
    body: bytes = b"",
    limit: int | None = None,
    failed: bool = False,
    conversation: str | None = None,
    largest: bool = False,
) -> Codec | None:
    """Return the codec of an answer in a context of 100 tokens, or in that of the ``largest``.

    Without a ``body`` it is a stream.
    """
    facts = chat("hi") if limit is None else chat("hi", max_tokens=limit)
    asked = SimpleNamespace(
        facts=facts._replace(endpoint=endpoint), model=growing, conversation=conversation
    )
    call = SimpleNamespace(
        lease=SimpleNamespace(variant=growing.largest if largest else growing.variants[0]),
        selection=SimpleNamespace(size=PromptSize(20, 20, Source.ENGINE)),
        call=asked,
    )
    upstream = SimpleNamespace(failed=failed, whole=bool(body), first=body)
    return eligibility.codec(cast("UpstreamCall", call), cast("UpstreamResponse", upstream))


def test_an_endpoint_has_a_codec_where_its_answers_grow() -> None:
    assert {endpoint for endpoint in endpoints.ENDPOINTS if endpoint.grows} == set(CODECS)
    for endpoint in endpoints.ENDPOINTS:
        assert codec_of(Eligibility(), endpoint=endpoint) is CODECS.get(endpoint)


def test_answers_of_a_model_that_shall_not_grow_do_not() -> None:
    assert codec_of(Eligibility(), model(100, 200, grow_answers=False)) is None


def test_a_model_that_answers_anew_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    eligibility = Eligibility()
    with caplog.at_level(logging.WARNING):
        eligibility.answered_anew(GROWING)
        eligibility.answered_anew(GROWING)
    assert len(caplog.records) == 1
    assert codec_of(eligibility) is None
    # Nothing stands between a text completion and the model.
    assert codec_of(eligibility, endpoint=endpoints.COMPLETION) is COMPLETION
    # Defined otherwise, it may have another template.
    assert codec_of(eligibility, model(100, 400, grow_answers=True)) is CHAT


WHOLE = b'{"choices":[],"usage":{"completion_tokens":%d,"prompt_tokens":20}}'


def test_only_an_answer_that_may_fill_its_context_is_looked_at() -> None:
    eligibility = Eligibility()
    assert codec_of(eligibility)
    assert codec_of(eligibility, limit=76)
    assert not codec_of(eligibility, limit=75)
    assert codec_of(eligibility, body=WHOLE % 76)
    assert not codec_of(eligibility, body=WHOLE % 75)
    assert not codec_of(eligibility, body=WHOLE % 80, limit=75)
    # One that tells no counts may have.
    assert codec_of(eligibility, body=b"{}")
    assert not codec_of(eligibility, failed=True)
    assert not codec_of(eligibility, conversation="read again")
    assert not codec_of(eligibility, largest=True)


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


# -- which answers need no continuation --------------------------------------------------------

COUNTED = PromptSize(1000, 1000, Source.ENGINE)
ESTIMATED = PromptSize(1000, 1, Source.BOUND)


@pytest.mark.parametrize(
    ("size", "limit", "context", "cannot"),
    [
        (COUNTED, 500, 1505, True),
        # The last tokens may not have fitted together.
        (COUNTED, 500, 1504, False),
        (COUNTED, None, 10**9, False),
        # What the template prints is not known.
        (ESTIMATED, 500, 2529, True),
        (ESTIMATED, 500, 2528, False),
        (UNCOUNTED, 500, 10**9, False),
    ],
)
def test_a_limit_keeps_an_answer_from_filling_its_context(
    size: PromptSize, limit: int | None, context: int, *, cannot: bool
) -> None:
    facts = chat("hi") if limit is None else chat("hi", max_tokens=limit)
    assert cannot_fill(facts, size, context) is cannot


def test_the_tokens_of_a_picture_are_not_estimated() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    facts = chat(message([picture]), max_tokens=1)
    assert not cannot_fill(facts, ESTIMATED, 10**9)
    assert cannot_fill(facts, COUNTED, 10**9)


@pytest.mark.parametrize(
    ("usage", "full"),
    [
        (Usage(20, 75), False),
        (Usage(20, 76), True),
        (Usage(20, 80), True),
        (Usage(None, 1), True),
        (Usage(20, None), True),
    ],
)
def test_an_answer_is_full_if_its_counts_do_not_say_otherwise(usage: Usage, *, full: bool) -> None:
    assert is_full(usage, 100) is full
