"""Change accounts, keys and balances, each with a row in the audit. Synchronous.

The functions run in the transaction of their connection: all of it happens, or nothing. Running
gateways see a change within about a second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update

from accounts.keys import NewKey, new_key
from accounts.store.snapshot import changed
from accounts.tables import ACCOUNTS, API_KEYS, AUDIT, LEDGER, PRICES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

_ACTIVE = "active"
_NONE: Mapping[str, Any] = MappingProxyType({})
# Columns that the audit must not repeat.
_SECRET = frozenset({"password_hash", "digest"})


class NoSuchAccount(LookupError):
    """There is no account of this name, e-mail address or number."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, and when (milliseconds since 1970).

    ``account`` and ``key`` are None for the admin token and for commands on this machine.
    """

    at: int
    account: int | None = None
    key: int | None = None
    address: str | None = None


def create_account(
    connection: Connection,
    actor: Actor,
    name: str,
    tier: str,
    columns: Mapping[str, Any] = _NONE,
) -> int:
    """Add an account and return its number; it is active unless ``columns`` say otherwise.

    IntegrityError if the e-mail address is taken.
    """
    row = {"name": name, "tier": tier, "status": _ACTIVE, "created_at": actor.at, **columns}
    if row.get("email") is not None:
        row["email"] = str(row["email"]).strip().lower()
    number: int = connection.execute(
        insert(ACCOUNTS).values(row).returning(ACCOUNTS.c.id)
    ).scalar_one()
    audit(connection, actor, "account.create", f"account:{number}", after=row)
    changed(connection)
    return number


def change_account(
    connection: Connection, actor: Actor, number: int, columns: Mapping[str, Any]
) -> None:
    """Change columns of an account; NoSuchAccount if there is none. Never its money."""
    of = ACCOUNTS.c.id == number
    row = connection.execute(select(ACCOUNTS).where(of)).mappings().one_or_none()
    if row is None:
        raise NoSuchAccount(number)
    connection.execute(update(ACCOUNTS).where(of).values(columns))
    before = {name: row[name] for name in columns}
    audit(connection, actor, "account.change", f"account:{number}", before, columns)
    changed(connection)


def find_account(connection: Connection, text: str) -> int:
    """Return the number of the account with this number, e-mail address or name.

    NoSuchAccount where there is none, or where a name is that of several.
    """
    if text.isdigit():
        wanted = ACCOUNTS.c.id == int(text)
    elif "@" in text:
        wanted = ACCOUNTS.c.email == text.strip().lower()
    else:
        wanted = ACCOUNTS.c.name == text
    found = connection.execute(select(ACCOUNTS.c.id).where(wanted).limit(2)).scalars().all()
    if len(found) != 1:
        raise NoSuchAccount(text)
    return int(found[0])


def create_key(
    connection: Connection,
    actor: Actor,
    account: int,
    name: str,
    columns: Mapping[str, Any] = _NONE,
) -> tuple[int, NewKey]:
    """Add a key of an account; return its number and the key, which cannot be told later."""
    key = new_key()
    allowed = columns.get("models")
    row = {
        "account_id": account,
        "name": name,
        "prefix": key.prefix,
        "created_at": actor.at,
        **columns,
        # A list of patterns; a text is one in JSON.
        "models": allowed if allowed is None or isinstance(allowed, str) else json.dumps(allowed),
    }
    number: int = connection.execute(
        insert(API_KEYS).values({**row, "digest": key.digest}).returning(API_KEYS.c.id)
    ).scalar_one()
    audit(connection, actor, "key.create", f"key:{number}", after=row)
    changed(connection)
    return number, key


def revoke_key(connection: Connection, actor: Actor, number: int) -> bool:
    """Revoke a key; return False if there is none, or if it was revoked before."""
    of = (API_KEYS.c.id == number) & API_KEYS.c.revoked_at.is_(None)
    done = connection.execute(update(API_KEYS).where(of).values(revoked_at=actor.at)).rowcount
    if done:
        audit(connection, actor, "key.revoke", f"key:{number}")
        changed(connection)
    return bool(done)


def add_money(
    connection: Connection,
    actor: Actor,
    account: int,
    amount: int,
    *,
    kind: str = "topup",
    source: str,
    note: str | None = None,
) -> int:
    """Book an amount in nano-units for an account, once for each ``source``; return the balance.

    A second call with the same source changes nothing. NoSuchAccount if there is no such account.
    """
    of = ACCOUNTS.c.id == account
    known = select(func.count()).select_from(LEDGER).where(LEDGER.c.source == source)
    again = bool(connection.execute(known).scalar_one())
    balance = (
        update(ACCOUNTS).where(of).values(balance=ACCOUNTS.c.balance + (0 if again else amount))
    )
    after = connection.execute(balance.returning(ACCOUNTS.c.balance)).scalar_one_or_none()
    if after is None:
        raise NoSuchAccount(account)
    if not again:
        row = {"account_id": account, "kind": kind, "amount": amount, "source": source}
        row |= {"note": note, "actor_id": actor.account, "at": actor.at}
        connection.execute(insert(LEDGER).values(row))
        audit(connection, actor, f"money.{kind}", f"account:{account}", after=row)
        changed(connection)
    return int(after)


def set_price(connection: Connection, actor: Actor, columns: Mapping[str, Any]) -> int:
    """Add a price with the columns of ``prices``; return its number. Earlier ones are kept."""
    number: int = connection.execute(
        insert(PRICES).values(columns).returning(PRICES.c.id)
    ).scalar_one()
    audit(connection, actor, "price.set", f"model:{columns['model']}", after=columns)
    changed(connection)
    return number


def audit(
    connection: Connection,
    actor: Actor,
    action: str,
    what: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down who did what; nothing secret is written."""
    row = {
        "at": actor.at,
        "actor_id": actor.account,
        "key_id": actor.key,
        "action": action,
        "object": what[:120],
        "before": _told(before),
        "after": _told(after),
        "address": actor.address,
    }
    connection.execute(insert(AUDIT).values(row))


def _told(values: Mapping[str, Any] | None) -> str | None:
    if values is None:
        return None
    return json.dumps({name: value for name, value in values.items() if name not in _SECRET})
