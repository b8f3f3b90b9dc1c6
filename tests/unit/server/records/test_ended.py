"""server/records/ended.py: pages, filters and CSV of ended requests."""

from __future__ import annotations

from typing import Any

import pytest

from server.records.ended import as_csv, page_of, query_of
from utils.errors import BadRequest

# The newest first.
ROWS: list[dict[str, Any]] = [
    {"id": f"a-{n}", "at": float(n), "status": 200 if n % 2 else 404, "model": f"m{n % 3}"}
    for n in range(9, 0, -1)
]


def ids(query: dict[str, str]) -> tuple[list[str], str | None]:
    rows, cursor = page_of(ROWS, query_of(query))
    return [row["id"] for row in rows], cursor


def test_pages_follow_each_other() -> None:
    seen, cursor = [], None
    for size in (4, 4, 1):
        query = {"limit": "4"} if cursor is None else {"limit": "4", "cursor": cursor}
        found, cursor = ids(query)
        assert len(found) == size
        seen += found
    assert cursor is None
    assert seen == [row["id"] for row in ROWS]
    assert ids({"cursor": "forgotten"}) == ([], None)
    # A full page is the last one if no row follows.
    assert ids({"limit": "9"})[1] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"id": "a-4"}, [4]),
        ({"model": "m0"}, [9, 6, 3]),
        ({"status": "404"}, [8, 6, 4, 2]),
        ({"status": "2xx", "model": "m0"}, [9, 3]),
        ({"from": "3", "to": "6"}, [5, 4, 3]),
        ({"account": "x"}, []),
    ],
)
def test_filters(query: dict[str, str], found: list[int]) -> None:
    assert ids(query)[0] == [f"a-{n}" for n in found]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"status": "ok"}, "status"),
        ({"status": "4"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"from": "nan"}, "from"),
        ({"to": "tomorrow"}, "to"),
    ],
)
def test_what_means_nothing_is_refused(query: dict[str, str], param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        query_of(query)
    assert raised.value.param == param


def test_csv_holds_no_formula() -> None:
    rows = [{"id": "=1+1", "n": -2, "text": 'a "b", c', "none": None}]
    assert as_csv(rows, ("id", "n", "text", "none", "absent")) == (
        b'id,n,text,none,absent\r\n\'=1+1,-2,"a ""b"", c",,\r\n'
    )
