"""server/responses/listing.py: which page of a list was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from server.responses.listing import count_of, listed, page_of
from utils.errors import BadRequest

ITEMS = [{"id": f"i{n}"} for n in range(25)]


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["data"]]


def test_a_page_is_the_latest_items_unless_asked_otherwise() -> None:
    page = page_of(ITEMS, {})
    assert ids(page) == [f"i{n}" for n in range(24, 4, -1)]
    assert (page["first_id"], page["last_id"], page["has_more"]) == ("i24", "i5", True)
    page = page_of(ITEMS, {"order": "asc", "limit": "2"})
    assert ids(page) == ["i0", "i1"]


def test_pages_follow_each_other_to_the_end() -> None:
    found: list[str] = []
    query = {"order": "asc", "limit": "10"}
    while True:
        page = page_of(ITEMS, query)
        found += ids(page)
        if not page["has_more"]:
            break
        query["after"] = page["last_id"]
    assert found == [item["id"] for item in ITEMS]
    assert page_of(ITEMS, {"order": "asc", "after": "i24"}) == listed([])
    assert listed([])["first_id"] is None


@pytest.mark.parametrize(
    "query",
    [{"order": "up"}, {"limit": "0"}, {"limit": "101"}, {"limit": "-1"}, {"after": "x"}],
)
def test_a_fault_names_its_field(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as fault:
        page_of(ITEMS, query)
    assert [fault.value.param] == list(query)


@pytest.mark.parametrize("text", ["", "x", "1.5", "²", "9" * 30])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(BadRequest):
        count_of({"n": text}, "n", 1)
    assert count_of({}, "n", 1) == 1
