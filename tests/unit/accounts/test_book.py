"""accounts/book.py: what a change in the database does to memory. Its money: the state machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from account_rows import add_account, add_key, new_database
from sqlalchemy import insert, update

from accounts.book import Book
from accounts.keys import digest_of
from accounts.parties import Key
from accounts.store.changes import Actor, change_account, revoke_key, set_price
from accounts.store.snapshot import snapshot
from accounts.tables import API_KEYS, PRICES
from utils.config.accounts import AccountsSettings, RateLimitsTable, TierTable

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


class Copy:
    """A book and its database; ``now`` is in milliseconds."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now = 1000
        self.account = add_account(connection, tier="sub")
        self.key = add_key(connection, self.account, digest_of("k"), rpm=7, models='["a*"]')
        self.book = Book(AccountsSettings(), lambda: 0, lambda: self.now)
        self.apply()

    def apply(self) -> None:
        self.book.apply(snapshot(self.connection))

    def found(self) -> Any:
        key = self.book.key("k")
        assert key is not None
        return key


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    engine = new_database(tmp_path)
    with engine.begin() as connection:
        yield Copy(connection)


def test_a_key_has_its_own_limits_and_the_account_those_of_its_tier(copy: Copy) -> None:
    key = copy.found()
    assert key.limits.requests.limit == 7
    assert key.account.limits.requests.limit == 100
    assert key.models == ("a*",)
    assert copy.book.key("other") is None
    gold = TierTable(name="sub", tpm=50)
    copy.book.configure(AccountsSettings(rate_limits=RateLimitsTable(sub=9), tiers=(gold,)))
    assert copy.found().account.limits.requests.limit == 9
    assert copy.found().account.limits.tokens.limit == 50


def test_what_requests_have_taken_outlives_a_change(copy: Copy) -> None:
    key = copy.found()
    key.limits.active = 1
    key.limits.requests.take(0, 3)
    key.account.held = 5
    actor = Actor(1)
    change_account(copy.connection, actor, copy.account, {"status": "blocked", "rpm": 50})
    copy.apply()
    assert copy.found() is key
    assert (key.limits.active, key.account.held, key.account.status) == (1, 5, "blocked")
    assert key.limits.requests.level(0).remaining == 4
    assert key.account.limits.requests.limit == 50


def test_keys_end_by_revocation_and_by_time(copy: Copy) -> None:
    expiry = update(API_KEYS).values(expires_at=2000)
    copy.connection.execute(expiry)
    copy.apply()
    copy.now = 1999
    key = copy.found()
    session = Key(None, key.account, "session", "", key.scopes)
    assert copy.book.has(key)
    copy.now = 2000
    assert copy.book.key("k") is None
    # Who was let in before is not any more; a session of the same account is.
    assert (copy.book.has(key), copy.book.has(session)) == (False, True)
    copy.connection.execute(update(API_KEYS).values(expires_at=None))
    copy.apply()
    assert copy.book.key("k") is not None
    assert revoke_key(copy.connection, Actor(3), copy.key)
    assert not revoke_key(copy.connection, Actor(3), copy.key)
    copy.apply()
    assert copy.book.key("k") is None
    assert not copy.book.has(key)
    change_account(copy.connection, Actor(4), copy.account, {"status": "blocked"})
    copy.apply()
    assert not copy.book.has(session)


def test_a_price_holds_from_its_time_on(copy: Copy) -> None:
    row = {"model": "m", "input": 1, "cached": 1, "output": 1, "per_request": 0}
    usual = copy.book.price("m")
    first = set_price(copy.connection, Actor(1), {**row, "valid_from": 500})
    second = set_price(copy.connection, Actor(1), {**row, "valid_from": 3000})
    copy.connection.execute(insert(PRICES).values({**row, "model": "n", "valid_from": 9000}))
    copy.apply()
    assert copy.book.price("m").id == first
    assert copy.book.price("n") == usual
    copy.now = 3000
    assert copy.book.price("m").id == second
    assert copy.book.price("n") == usual
    copy.now = 9000
    assert copy.book.price("n") != usual
