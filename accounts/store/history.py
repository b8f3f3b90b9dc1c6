"""Who changed what, and what became of signups and invites, by the audit. Synchronous."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from accounts.store.reports import audit_page, invites_page, names_of, signups_page
from accounts.tables import ACCOUNTS, AUDIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from accounts.store.reports import Row

USED, EXPIRED, GOOD = "accepted", "expired", "open"
_MADE, _TAKEN = "invite.create", "invite.use"


def signups_with_deciders(
    connection: Connection, limit: int, before: int | None, state: str | None
) -> list[Row]:
    """Return requests for accounts as ``signups_page`` does, with the names of who decided."""
    rows = signups_page(connection, limit, before, state)
    names = names_of(connection, ACCOUNTS, [row["decided_by"] or 0 for row in rows])
    return [{**row, "decider": names.get(row["decided_by"] or 0)} for row in rows]


def invites_with_fates(
    connection: Connection, limit: int, before: int | None, now: int
) -> list[Row]:
    """Return invites as ``invites_page`` does, with their state at ``now``, who made and used them.

    Who that was is known as long as the audit keeps it.
    """
    rows = invites_page(connection, limit, before)
    told = _told(connection, [f"invite:{row['id']}" for row in rows])
    makers = {each["object"]: each["actor_id"] for each in told if each["action"] == _MADE}
    taken = [(each, json.loads(each["after"])["account"]) for each in told if _is_use(each)]
    known = [number for number in makers.values() if number]
    names = names_of(connection, ACCOUNTS, [*known, *(account for _, account in taken)])
    found = []
    for row in rows:
        what = f"invite:{row['id']}"
        accepted = [
            {"account_id": account, "name": names.get(account), "at": each["at"]}
            for each, account in taken
            if each["object"] == what
        ]
        maker = names.get(makers.get(what) or 0)
        found.append({**row, "state": state_of(row, now), "maker": maker, "accepted": accepted})
    return found


def audit_with_actors(
    connection: Connection, limit: int, before: int | None, asked: Mapping[str, str]
) -> list[Row]:
    """Return rows of the audit as ``audit_page`` does, with the names of who did it."""
    rows = audit_page(connection, limit, before, asked)
    names = names_of(connection, ACCOUNTS, [row["actor_id"] or 0 for row in rows])
    return [{**row, "actor": names.get(row["actor_id"] or 0)} for row in rows]


def state_of(invite: Row, now: int) -> str:
    """Return whether an invite can be used at ``now``, was used up, or came too late."""
    if invite["uses"] <= 0:
        return USED
    expires = invite["expires_at"]
    return EXPIRED if expires is not None and expires <= now else GOOD


def _told(connection: Connection, objects: list[str]) -> list[dict[str, Any]]:
    found = select(AUDIT).where(AUDIT.c.object.in_(objects)).order_by(AUDIT.c.id)
    return [dict(row) for row in connection.execute(found).mappings()]


def _is_use(row: dict[str, Any]) -> bool:
    return row["action"] == _TAKEN and row["after"] is not None
