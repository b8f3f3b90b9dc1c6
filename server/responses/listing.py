"""A page of a list: which of many items a client asked for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.requests.fields import Json

_USUAL, _MOST = 20, 100


def page_of(items: Sequence[Json], query: Mapping[str, str]) -> Json:
    """Return the page of ``items``, oldest first, that ``query`` asks for; raise BadRequest.

    ``order`` is desc unless it is asc, ``after`` the id of the item before the page, ``limit`` how
    many items it may have.
    """
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadRequest("'order' must be asc or desc.", param="order")
    limit = count_of(query, "limit", _USUAL)
    if not 1 <= limit <= _MOST:
        raise BadRequest(f"'limit' must be from 1 to {_MOST}.", param="limit")
    found = list(items if order == "asc" else reversed(items))
    if (after := query.get("after")) is not None:
        places = [at for at, item in enumerate(found) if item.get("id") == after]
        if not places:
            raise BadRequest("'after' must be the id of an item of this list.", param="after")
        found = found[places[-1] + 1 :]
    return listed(found[:limit], more=len(found) > limit)


def listed(items: Sequence[Json], *, more: bool = False) -> Json:
    """Return the items as a list of the API; ``more`` follow them."""
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": more,
    }


def count_of(query: Mapping[str, str], name: str, usual: int) -> int:
    """Return a whole number in the query, or ``usual``; raise BadRequest."""
    text = query.get(name)
    if text is None:
        return usual
    if not text.isascii() or not text.isdigit() or len(text) > len(str(2**63)):
        raise BadRequest(f"'{name}' must be a whole number.", param=name)
    return int(text)
