"""server/anthropic_models.py: pages of models in Anthropic's shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdk_types import sdk_type

from server.anthropic_models import anthropic_model, anthropic_page
from utils.errors import BadRequest

ENTRIES: list[dict[str, Any]] = [
    {"id": name, "created": 1700000000, "context_length": 8192} for name in "abcdefg"
]


def test_a_model_is_what_the_sdk_expects() -> None:
    model = sdk_type("anthropic.types.model_info", "ModelInfo").model_validate(
        anthropic_model(ENTRIES[0]), strict=False
    )
    assert (model.id, model.display_name, model.max_input_tokens) == ("a", "a", 8192)
    assert model.created_at.isoformat() == "2023-11-14T22:13:20+00:00"


@given(limit=st.integers(1, 9))
def test_the_pages_forwards_are_the_list(limit: int) -> None:
    query, found, more = {"limit": str(limit)}, "", True
    while more:
        page = anthropic_page(ENTRIES, query)
        assert 0 < len(page["data"]) <= limit
        found += "".join(entry["id"] for entry in page["data"])
        more, query["after_id"] = page["has_more"], page["last_id"]
    assert found == "abcdefg"


@given(limit=st.integers(1, 9))
def test_the_pages_backwards_are_the_list(limit: int) -> None:
    query, found, more = {"limit": str(limit), "before_id": "g"}, "", True
    while more:
        page = anthropic_page(ENTRIES, query)
        assert 0 < len(page["data"]) <= limit
        found = "".join(entry["id"] for entry in page["data"]) + found
        more, query["before_id"] = page["has_more"], page["first_id"]
    assert found == "abcdef"


def test_an_empty_page() -> None:
    page = anthropic_page(ENTRIES, {"after_id": "g"})
    assert page == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": "9" * 5000},
        {"after_id": "x"},
        {"before_id": "x"},
    ],
)
def test_a_page_that_cannot_be_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as caught:
        anthropic_page(ENTRIES, query)
    assert caught.value.param == next(iter(query))
