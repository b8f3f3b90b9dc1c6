"""server/client_key.py: who asks, and how urgently."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from engine.scheduling.queue import Priority
from server.client_key import client_of, priority_of
from utils.errors import BadRequest


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "x-api-key"])
def test_a_key_is_a_client_wherever_it_asks_from(header: str) -> None:
    one = client_of(CIMultiDict({header: "Bearer one"}), "127.0.0.1")
    assert one == client_of(CIMultiDict({header: "Bearer one"}), "127.0.0.2")
    assert one != client_of(CIMultiDict({header: "Bearer two"}), "127.0.0.1")
    assert "one" not in one


def test_without_a_key_the_address_is_the_client() -> None:
    assert client_of(CIMultiDict(), "127.0.0.1") == "127.0.0.1"
    assert client_of(CIMultiDict({"Authorization": ""}), "::1") == "::1"
    assert client_of(CIMultiDict(), None) == ""


@pytest.mark.parametrize(
    ("word", "priority"),
    [
        ("low", Priority.LOW),
        ("normal", Priority.NORMAL),
        ("high", Priority.HIGH),
        (" High ", Priority.HIGH),
    ],
)
def test_a_priority_counts_where_it_is_allowed(word: str, priority: Priority) -> None:
    headers = CIMultiDict({"x-priority": word})
    assert priority_of(headers, allowed=True) is priority
    assert priority_of(headers, allowed=False) is Priority.NORMAL
    assert priority_of(CIMultiDict(), allowed=True) is Priority.NORMAL


@pytest.mark.parametrize("word", ["", "urgent", "2", "HIGH, low", "\u0131"])
def test_another_word_is_refused_where_it_would_count(word: str) -> None:
    headers = CIMultiDict({"X-Priority": word})
    with pytest.raises(BadRequest, match='"low", "normal" or "high"') as refused:
        priority_of(headers, allowed=True)
    assert refused.value.param == "X-Priority"
    assert priority_of(headers, allowed=False) is Priority.NORMAL
