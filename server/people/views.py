"""Rows of the database as JSON: money as decimal text, times in seconds, nothing secret. Pure."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from accounts.money import as_text
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.limits import Level
    from accounts.parties import Account, Budget

Row = dict[str, Any]
_EPOCH = date(1970, 1, 1)
_MONEY = frozenset(
    {"balance", "held", "budget", "spent", "amount", "cost", "input", "cached_price", "output"}
    | {"per_request"}
)
_JSON = frozenset({"models", "before", "after"})
# Shown in seconds, by the name without its end.
_TIMES = frozenset({"at", "created_at", "last_seen_at", "last_used_at", "expires_at", "revoked_at"})
_MORE_TIMES = frozenset({"seen_at", "valid_from", "decided_at", "spent_from"})
_INNER = frozenset({"spent_from", "oidc_issuer", "oidc_subject"})


def shown(row: Mapping[str, Any]) -> Row:
    """Return a row of any table but usage."""
    return {name: _shown(name, value) for name, value in row.items() if name not in _INNER}


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - of any column
    if value is None:
        return None
    if name in _MONEY:
        return as_text(value)
    if name in _TIMES or name in _MORE_TIMES:
        return value / 1000
    if name in _JSON:
        return json.loads(value)
    if name == "scopes":
        return value.split()
    return value


def price_row(row: Mapping[str, Any]) -> Row:
    """Return a price: for a million tokens, and for a request."""
    found = shown({name: value for name, value in row.items() if name != "cached"})
    return {**found, "cached": as_text(row["cached"])}


def invite_row(row: Mapping[str, Any]) -> Row:
    """Return an invite, and who has used it."""
    return {**shown(row), "accepted": [shown(each) for each in row["accepted"]]}


def usage_row(row: Mapping[str, Any], keys: Mapping[int, str], accounts: Mapping[int, str]) -> Row:
    """Return sums of usage; tokens and times are numbers, the cost is money."""
    found: Row = {}
    for name, value in row.items():
        if name == "day":
            found["day"] = day_text(value)
        elif name == "key_id":
            found |= {"key_id": value or None, "key": keys.get(value)}
        elif name == "account_id":
            found |= {"account_id": value, "account": accounts.get(value)}
        elif name == "cost":
            found["cost"] = as_text(value)
        elif name in ("load_ms", "first_ms"):
            found[f"{name.removesuffix('_ms')}_seconds"] = value / 1000
        elif name in ("prompt", "cached", "completion"):
            found[f"{name}_tokens"] = value
        else:
            found[name] = value
    return found


def day_text(day: int) -> str:
    """Return a day by its number since 1970, as 2026-11-21."""
    return date.fromordinal(_EPOCH.toordinal() + day).isoformat()


def day_in(query: Mapping[str, str], name: str, usual: int) -> int:
    """Return the number of the day that a query names; BadRequest if it is none."""
    text = query.get(name)
    if text is None:
        return usual
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH.toordinal()
    except ValueError:
        raise BadRequest(f"{name} must be a day such as 2026-11-21.", param=name) from None


def today(now: int) -> int:
    """Return the number of the day in UTC at this time in milliseconds."""
    return (datetime.fromtimestamp(now / 1000, UTC).date() - _EPOCH).days


def level_view(level: Level | None) -> Row | None:
    """Return how full a limit is; ``reset_seconds`` until all of it can be taken again."""
    if level is None:
        return None
    return {
        "limit": level.limit,
        "remaining": level.remaining,
        "reset_seconds": round(level.reset / 1e9, 3),
    }


def budget_view(budget: Budget, now: int) -> Row | None:
    """Return what is left of a budget at this time; None where there is none."""
    left = budget.left(now)
    if left is None or budget.amount is None:
        return None
    return {
        "amount": as_text(budget.amount),
        "period": budget.period,
        "spent": as_text(budget.spent),
        "left": as_text(left),
    }


def money_of(account: Account) -> Row:
    """Return what an account has now, with what requests of this moment cost."""
    return {"balance": as_text(account.balance), "available": as_text(account.available)}
