"""What pages and commands ask of the accounts, on SQLite and on a real PostgreSQL: the same."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from account_rows import add_account, check_books, hold, settlement
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres import new_database
from sqlalchemy.exc import IntegrityError

from accounts.generation import found_in
from accounts.store import history, people, reports, sessions
from accounts.store.booking import book
from accounts.store.changes import (
    Actor,
    NoSuchAccount,
    add_money,
    change_account,
    create_account,
    create_key,
    find_account,
    revoke_key,
    set_price,
)
from accounts.store.database import address, open_database
from accounts.store.migrate import config_for, form, migrate
from accounts.store.recovery import dead_boots, rebook, release
from accounts.store.snapshot import snapshot
from accounts.store.upkeep import purge, verify
from accounts.tables import ACCOUNTS, API_KEYS, METADATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from postgres import Postgres
    from sqlalchemy import Connection, Engine

DAY = 24 * 3600 * 1000
NOW = 20_000 * DAY

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("accounts")]


class Story:
    """Does one thing after another in a database, each in its transaction, and notes the result."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.told: list[Any] = []
        self._times = count(NOW)

    def do(self, job: Callable[..., Any], *given: Any, **named: Any) -> Any:
        try:
            with self.engine.begin() as connection:
                found = job(connection, *given, **named)
        except (IntegrityError, NoSuchAccount, LookupError) as error:
            found = type(error).__name__
        self.told.append((job.__name__, given[1:], found))
        return found

    def actor(self) -> Actor:
        return Actor(next(self._times), address="127.0.0.1")


def lives(it: Story) -> None:
    """Accounts, keys and money."""
    ada = it.do(create_account, it.actor(), "Ada", "payg", {"email": "Ada@x.org", "rpm": 5})
    bob = it.do(create_account, it.actor(), "Bob_%", "sub", {"status": "pending"})
    for text in (str(ada), "ada@x.org", "Ada", "nobody"):
        it.do(find_account, text)
    it.do(change_account, it.actor(), bob, {"status": "active"})
    it.do(change_account, it.actor(), 99, {"status": "active"})
    for source in ("bill-1", "bill-1", "bill-2"):
        it.do(add_money, it.actor(), ada, 5 * 10**9, source=source)
    it.do(add_money, it.actor(), 99, 1, source="x")
    it.do(add_money, it.actor(), ada, -1, kind="adjust", source="y", note="a note")
    with it.engine.begin() as connection:
        keys = [create_key(connection, it.actor(), each, "k", {"rpm": 3})[0] for each in (ada, bob)]
    assert it.do(revoke_key, it.actor(), keys[1]) is True
    assert it.do(revoke_key, it.actor(), keys[1]) is False
    price = {"model": "m", "input": 1, "cached": 1, "output": 2, "per_request": 3}
    it.do(set_price, it.actor(), {**price, "valid_from": NOW})


def asks(it: Story) -> None:
    """Requests, and what is told of them."""
    rows = [settlement(f"r{n}", 1, 100 + n, model=f"m{n % 2}", at=NOW + n * DAY) for n in range(5)]
    it.do(book, "ab", [hold("r0", 1), hold("open", 1, 70), hold("dear", 1, 10**12)])
    it.do(book, "ab", rows)
    it.do(book, "ab", [settlement("n.1", 1), settlement("n.2", 1)])
    rebook(it.engine, [*rows, hold("r1", 1), hold("lost", 1, 5), settlement("late", 1)])
    it.do(lambda c: release(c, sorted(dead_boots(c, "cd")), NOW))
    for request in ("r0", "n", "nothing", "n%", "open", "lost"):
        it.do(found_in, request)
    for groups in (("day", "model"), ("account_id",), ("key_id", "model"), ()):
        it.do(reports.usage_table, 0, 30_000, groups)
    it.do(reports.usage_table, 20_001, 20_003, ("day",), account=1, model="m1")
    it.do(verify)


def reads(it: Story) -> None:
    """Lists in pages."""
    for asked in ({}, {"search": "ADA"}, {"search": "_%"}, {"tier": "sub", "status": "active"}):
        it.do(reports.accounts_page, 10, None, asked)
    it.do(reports.accounts_page, 1, 2, {})
    for page, more in (
        (reports.keys_page, (None,)),
        (reports.keys_page, (1,)),
        (reports.signups_page, ("open",)),
        (reports.signups_page, (None,)),
        (reports.invites_page, ()),
        (reports.prices_page, ("m",)),
        (reports.prices_page, (None,)),
        (reports.ledger_page, (1,)),
        (reports.audit_page, ({"action": "money.topup"},)),
        (reports.audit_page, ({},)),
    ):
        it.do(page, 100, None, *more)
        it.do(page, 1, 2, *more)
    it.do(reports.account_row, 1)
    it.do(reports.account_row, 99)
    it.do(reports.key_row, 1)
    it.do(reports.names_of, ACCOUNTS, [1, 2, 99])
    it.do(reports.names_of, API_KEYS, [])
    it.do(in_order)


def in_order(connection: Connection) -> list[list[Any]]:
    """Return what a gateway takes into its memory; PostgreSQL has an order of its own."""
    _, *parts = snapshot(connection)
    return [sorted(part, key=lambda row: int(row["id"])) for part in parts]


def visits(it: Story) -> None:
    """Signups, invites, passwords and sessions."""
    for mail in ("new@x.org", "New@x.org", "ada@x.org"):
        it.do(people.add_signup, people.SignedUp(mail, "N", "why", bytes(32)), NOW)
    accepted = it.do(people.decide_signup, it.actor(), 1, "payg")
    it.do(people.decide_signup, it.actor(), 1, None)
    invite = {"tier": "sub", "uses": 1, "amount": 7, "expires_at": NOW + DAY}
    it.do(people.add_invite, it.actor(), bytes(32), invite)
    it.do(people.add_invite, it.actor(), bytes([1]) * 32, {"tier": "sub", "uses": 1, "amount": 0})
    newcomer = people.Newcomer("eve@x.org", "Eve", "hash")
    for now in (NOW + 2 * DAY, NOW, NOW):
        it.do(people.use_invite, bytes(32), newcomer, now, "127.0.0.1")
    it.do(history.invites_with_fates, 9, None, NOW)
    it.do(history.signups_with_deciders, 9, None, None)
    it.do(people.add_invite, it.actor(), bytes([2]) * 32, {"tier": "admin", "uses": 1})
    it.do(people.drop_invites, "admin")
    it.do(people.has_admin)
    it.do(people.set_password, it.actor(), accepted, "hash 2")
    it.do(people.credentials, "NEW@x.org")
    it.do(people.credentials, "nobody@x.org")
    it.do(people.password_of, accepted)
    for number, agent in enumerate(("a", "b", sessions.LINK, sessions.LINK)):
        it.do(sessions.add_session, bytes([number]) * 32, accepted, NOW, agent)
    it.do(sessions.saw_session, bytes([1]) * 32, NOW + 5)
    it.do(sessions.find_session, bytes([1]) * 32)
    it.do(sessions.sessions_of, accepted, NOW + 10)
    for number, now in ((2, NOW), (2, NOW), (3, NOW + 3 * DAY), (0, NOW)):
        it.do(sessions.use_link, bytes([number]) * 32, now)
    it.do(sessions.end_sessions, accepted, but=bytes([0]) * 32)
    it.do(sessions.end_session, bytes([0]) * 32)
    it.do(sessions.end_session, bytes([0]) * 32)


def refuses(it: Story) -> None:
    """What is there already; last, as PostgreSQL leaves out the numbers of rows that it refused."""
    taken = {"email": "ADA@x.org"}
    assert it.do(create_account, it.actor(), "A", "sub", taken) == "IntegrityError"
    known = people.Newcomer("ada@x.org", "A", "hash")
    for _ in range(2):
        assert it.do(people.use_invite, bytes([1]) * 32, known, NOW, None) == "IntegrityError"


def ends(it: Story) -> None:
    """What is too old is removed, and the books are right."""
    while it.do(purge, NOW + 2 * DAY, NOW + 10):
        pass
    it.do(verify)
    with it.engine.connect() as connection:
        assert not verify(connection)


def test_both_databases_tell_the_same(
    tmp_path: Path, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[Any]] = []
    for url in (None, new_database(postgres_server)):
        engine = open_database(address(url, tmp_path))
        migrate(engine)
        it = Story(engine)
        made = map(str, count(10**42))
        # Nothing else is made by chance.
        monkeypatch.setattr(
            "accounts.keys.secrets.token_urlsafe", lambda _bytes, made=made: next(made)
        )
        for part in (lives, visits, asks, reads, ends, refuses):
            part(it)
        told.append(it.told)
        engine.dispose()
    for lite, full in zip(*told, strict=True):
        assert lite == full


def test_each_step_of_the_history_keeps_what_is_there(postgres_server: Postgres) -> None:
    engine = open_database(address(new_database(postgres_server), Path()))
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(config_for(connection))
        names = [step.revision for step in script.walk_revisions()][::-1]
    for step in names:
        migrate(engine, step)
        with engine.begin() as connection:
            assert form(connection) == step
            add_account(connection)
            check_books(connection)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, METADATA) == []
        assert len(connection.execute(ACCOUNTS.select()).all()) == len(names)
    engine.dispose()
