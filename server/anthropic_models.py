"""The pages about models in Anthropic's shape, for clients that send its version header. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

# The header that Anthropic's clients send with each request.
VERSION = "anthropic-version"
_LARGEST_PAGE = 1000


def anthropic_model(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of ``/v1/models`` as Anthropic's API writes it."""
    created = datetime.fromtimestamp(entry["created"], UTC)
    return {
        "type": "model",
        "id": entry["id"],
        "display_name": entry["id"],
        "created_at": created.isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": entry["context_length"],
        "max_tokens": entry["context_length"],
    }


def anthropic_page(entries: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of the list that the query asks for; raise BadRequest if it cannot be.

    ``limit`` is the length of a page, without it 1000. The page begins after the model
    ``after_id``, or ends before the model ``before_id``.
    """
    limit = _limit(query.get("limit"))
    names = [entry["id"] for entry in entries]
    begin, end = 0, len(entries)
    if after := query.get("after_id"):
        begin = _place(names, after, "after_id") + 1
    if before := query.get("before_id"):
        end = _place(names, before, "before_id")
        more = end - begin > limit
        begin = max(begin, end - limit)
    else:
        more = end - begin > limit
        end = min(end, begin + limit)
    page = [anthropic_model(entry) for entry in entries[begin:end]]
    return {
        "data": page,
        "has_more": more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _limit(word: str | None) -> int:
    if word is None:
        return _LARGEST_PAGE
    # More digits are never in the range, and Python refuses to read thousands of them.
    if not (word.isascii() and word.isdecimal()) or len(word) > len(str(_LARGEST_PAGE)):
        number = 0
    else:
        number = int(word)
    if not 0 < number <= _LARGEST_PAGE:
        raise BadRequest(f"'limit' must be an integer from 1 to {_LARGEST_PAGE}.", param="limit")
    return number


def _place(names: list[str], name: str, field: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise BadRequest(f"'{field}' names no model of this list.", param=field) from None
