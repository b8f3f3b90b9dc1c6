"""The list of ended requests: which rows a query means, page by page, and as CSV. Pure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, Any]
_LARGEST_PAGE = 1000
_USUAL_PAGE = 100
# The fields that a query may name, whose text must be the same.
_EQUAL = (
    "id",
    "model",
    "variant",
    "account",
    "key",
    "client",
    "address",
    "path",
    "reason",
    "error",
)
_CLASS = "xx"
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Query(NamedTuple):
    """What a client asks for. ``cursor`` is the id of the last row of the page before."""

    equal: Mapping[str, str]
    status: str | None
    begin: float | None
    end: float | None
    cursor: str | None
    limit: int

    def means(self, row: Row) -> bool:
        """Return whether the row is asked for."""
        if any(str(row.get(name)) != value for name, value in self.equal.items()):
            return False
        if self.status is not None and not _is_status(row["status"], self.status):
            return False
        at = row["at"]
        return (self.begin is None or at >= self.begin) and (self.end is None or at < self.end)


def query_of(query: Mapping[str, str]) -> Query:
    """Return what the query of a URL asks for; BadRequest for what it cannot mean."""
    status = query.get("status")
    if status is not None and not (len(status) == 3 and status[0].isdigit()):  # noqa: PLR2004 - digits
        raise BadRequest(
            "status must be a status such as 200, or a class such as 4xx.", param="status"
        )
    limit = number_in(query, "limit")
    if limit is not None and not (1 <= limit <= _LARGEST_PAGE and limit == int(limit)):
        raise BadRequest(f"limit must be a number from 1 to {_LARGEST_PAGE}.", param="limit")
    return Query(
        {name: query[name] for name in _EQUAL if name in query},
        status,
        number_in(query, "from"),
        number_in(query, "to"),
        query.get("cursor"),
        _USUAL_PAGE if limit is None else int(limit),
    )


def number_in(query: Mapping[str, str], name: str) -> float | None:
    """Return the number of this name; None without one, BadRequest if it is none."""
    text = query.get(name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e15:  # noqa: PLR2004 - also refuses nan
        raise BadRequest(f"{name} must be a number, not '{text[:40]}'.", param=name)
    return number


def page_of(rows: Iterable[Row], query: Query) -> tuple[list[Row], str | None]:
    """Return the rows of a page, and the cursor of the next; ``rows`` begin with the newest.

    A cursor whose row is forgotten by now means that there is no older row.
    """
    found: list[Row] = []
    skipping = query.cursor is not None
    for row in rows:
        if skipping:
            skipping = row["id"] != query.cursor
        elif query.means(row):
            if len(found) == query.limit:
                return found, found[-1]["id"]
            found.append(row)
    return found, None


def as_csv(rows: Iterable[Row], columns: Iterable[str]) -> bytes:
    """Return the rows as CSV with a head, safe to open in a spreadsheet."""
    import csv  # noqa: PLC0415 - hardly ever needed

    text = io.StringIO()
    names = list(columns)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value


def _is_status(status: int, asked: str) -> bool:
    text = str(status)
    return asked in (text, f"{text[0]}{_CLASS}")
