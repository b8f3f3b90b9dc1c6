"""Signups, invites and passwords in the database. Synchronous; times are in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from accounts.store.changes import Actor, add_money, audit, create_account
from accounts.tables import ACCOUNTS, INVITES, SIGNUPS

if TYPE_CHECKING:
    from sqlalchemy import Connection

OPEN, ACCEPTED, REJECTED = "open", "accepted", "rejected"
# So many signups may wait for a decision.
MOST_OPEN = 200


class SignedUp(NamedTuple):
    """A request for an account."""

    email: str
    name: str
    reason: str
    address_hash: bytes


class Newcomer(NamedTuple):
    """What somebody tells who takes up an invite."""

    email: str
    name: str
    password_hash: str


def add_signup(connection: Connection, signup: SignedUp, now: int) -> bool:
    """Note a request for an account.

    Return False, and note nothing, if the address is known already or too many requests wait.
    """
    email = signup.email.strip().lower()
    known = select(ACCOUNTS.c.id).where(ACCOUNTS.c.email == email)
    waiting = SIGNUPS.c.state == OPEN
    asked = select(SIGNUPS.c.id).where(SIGNUPS.c.email == email, waiting)
    count = select(func.count()).select_from(SIGNUPS).where(waiting)
    if (
        connection.execute(known).first()
        or connection.execute(asked).first()
        or connection.execute(count).scalar_one() >= MOST_OPEN
    ):
        return False
    row = {**signup._asdict(), "email": email, "state": OPEN, "at": now}
    connection.execute(insert(SIGNUPS).values(row))
    return True


def decide_signup(
    connection: Connection, actor: Actor, number: int, tier: str | None
) -> int | None:
    """Accept a request, which makes an account of this tier, or reject it (None).

    Return the number of the account, or None. LookupError if no such request waits.
    """
    of = (SIGNUPS.c.id == number) & (SIGNUPS.c.state == OPEN)
    row = connection.execute(select(SIGNUPS).where(of)).mappings().one_or_none()
    if row is None:
        raise LookupError(number)
    state = REJECTED if tier is None else ACCEPTED
    values = {"state": state, "decided_by": actor.account, "decided_at": actor.at}
    connection.execute(update(SIGNUPS).where(of).values(values))
    audit(connection, actor, f"signup.{state}", f"signup:{number}")
    if tier is None:
        return None
    return create_account(connection, actor, row["name"], tier, {"email": row["email"]})


def add_invite(connection: Connection, actor: Actor, digest: bytes, columns: dict[str, Any]) -> int:
    """Add an invite with these columns of its table; return its number."""
    row = {"digest": digest, "created_at": actor.at, **columns}
    number: int = connection.execute(
        insert(INVITES).values(row).returning(INVITES.c.id)
    ).scalar_one()
    audit(connection, actor, "invite.create", f"invite:{number}", after=columns)
    return number


def use_invite(
    connection: Connection, digest: bytes, newcomer: Newcomer, now: int, address: str | None
) -> int | None:
    """Make the account of an invite, and return its number; None if the invite is not valid.

    IntegrityError if the e-mail address is taken; then the invite is as good as before.
    """
    good = (INVITES.c.digest == digest) & (INVITES.c.uses > 0)
    good &= INVITES.c.expires_at.is_(None) | (INVITES.c.expires_at > now)
    used = update(INVITES).where(good).values(uses=INVITES.c.uses - 1).returning(INVITES)
    invite = connection.execute(used).mappings().one_or_none()
    if invite is None:
        return None
    actor = Actor(now, address=address)
    columns = {"email": newcomer.email, "password_hash": newcomer.password_hash}
    account = create_account(connection, actor, newcomer.name, invite["tier"], columns)
    if invite["amount"]:
        source = f"invite:{invite['id']}:{account}"
        add_money(connection, actor, account, invite["amount"], kind="grant", source=source)
    audit(connection, actor, "invite.use", f"invite:{invite['id']}", after={"account": account})
    return account


def drop_invites(connection: Connection, tier: str) -> None:
    """Remove the invites for this tier that can still be used; the others are its history."""
    unused = (INVITES.c.tier == tier) & (INVITES.c.uses > 0)
    connection.execute(delete(INVITES).where(unused))


def has_admin(connection: Connection) -> bool:
    """Return whether there is an active admin."""
    of = (ACCOUNTS.c.tier == "admin") & (ACCOUNTS.c.status == "active")
    return connection.execute(select(ACCOUNTS.c.id).where(of).limit(1)).first() is not None


def credentials(connection: Connection, email: str) -> tuple[int, str | None, str] | None:
    """Return number, password hash and status of the account with this e-mail address."""
    columns = ACCOUNTS.c.id, ACCOUNTS.c.password_hash, ACCOUNTS.c.status
    of = ACCOUNTS.c.email == email.strip().lower()
    row = connection.execute(select(*columns).where(of)).one_or_none()
    return None if row is None else (row[0], row[1], row[2])


def password_of(connection: Connection, account: int) -> str | None:
    """Return the password hash of an account, or None."""
    of = ACCOUNTS.c.id == account
    kept = connection.execute(select(ACCOUNTS.c.password_hash).where(of)).scalar_one_or_none()
    return None if kept is None else str(kept)


def set_password(connection: Connection, actor: Actor, account: int, kept: str) -> None:
    """Keep another password of an account."""
    connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == account).values(password_hash=kept))
    audit(connection, actor, "account.password", f"account:{account}")
