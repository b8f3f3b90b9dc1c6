"""accounts/guard.py: who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from account_rows import add_account, add_key, new_database

from accounts.book import Book
from accounts.guard import caller_of, require_active
from accounts.keys import digest_of
from accounts.parties import Account, Key
from accounts.store.snapshot import snapshot
from accounts.tiers import Tier
from engine.scheduling.queue import Priority
from inference.caller import OPERATOR
from utils.config.accounts import AccountsSettings
from utils.errors import KeyRefused, NotPermitted

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_a_token_or_nobody(tmp_path: Path) -> None:
    engine = new_database(tmp_path)
    with engine.begin() as connection:
        account = add_account(connection, tier="sub")
        add_key(connection, account, digest_of("k"), scopes="inference admin")
        book = Book(AccountsSettings(), lambda: 0, lambda: 0)
        book.apply(snapshot(connection))
    key = caller_of({"Authorization": "Bearer k"}, book, ["token"])
    assert (key.account_id, key.client) == (account, f"account-{account}")
    assert key.may("inference")
    assert not key.may("read")
    assert not key.may("admin"), "the account is no admin's"
    for headers in ({"Authorization": "Bearer token"}, {"X-Admin-Token": "token"}):
        assert caller_of(headers, book, ["other", "token"]) is OPERATOR
    assert OPERATOR.may("admin")
    nobody: list[dict[str, str]] = [{}, {"Authorization": "Bearer x"}, {"X-Admin-Token": "k"}]
    for headers in nobody:
        with pytest.raises(KeyRefused):
            caller_of(headers, book, ["token"])


def test_who_is_not_active_is_told_so() -> None:
    account = Account(1, "a", Tier("payg"), "active", Priority.NORMAL)
    key = Key(1, account, "k", "sk-gw-", frozenset({"read"}))
    require_active(key)
    require_active(OPERATOR)
    account.status = "blocked"
    with pytest.raises(NotPermitted, match=r"^The account is blocked\.$"):
        require_active(key)
