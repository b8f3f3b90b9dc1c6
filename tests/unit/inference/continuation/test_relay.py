"""inference/continuation/relay.py: whose answers may go on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from builders import model

from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.relay import CODECS, Eligibility
from models.requests import endpoints

if TYPE_CHECKING:
    import pytest

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
