"""accounts/store/recovery.py: what a gateway has left is booked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from account_rows import UNIT, add_account, check_books, hold, new_database, settlement
from sqlalchemy import select

from accounts.store.booking import book
from accounts.store.recovery import dead_boots, rebook, release
from accounts.tables import ACCOUNTS, HOLDS, USAGE

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from accounts.store.rows import Hold, Settlement


def test_a_backlog_is_booked_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Some rows are in the database already, and one can never be."""
    engine = new_database(tmp_path)
    with engine.begin() as connection:
        account = add_account(connection)
        book(connection, "a", [hold("held", account), hold("both", account), hold("open", account)])
        book(connection, "a", [settlement("both", account, 7)])
    rows: list[Hold | Settlement] = [
        *(hold("open", account), hold("begun", account, 50), hold("new", account)),
        *(settlement("held", account, 3), settlement("both", account, 7)),
        *(settlement("new", account, 5), settlement("nobody", 999)),
    ]
    for _ in range(2):
        rebook(engine, rows)
        with engine.begin() as connection:
            release(connection, dead_boots(connection, "b"), 0)
        with engine.connect() as connection:
            check_books(connection)
            assert not connection.execute(select(HOLDS)).all()
            assert connection.execute(select(ACCOUNTS.c.balance)).scalar_one() == UNIT - 15
            found = connection.execute(select(USAGE.c.request_id, USAGE.c.ended)).all()
            assert sorted(map(tuple, found)) == [
                ("begun", "crashed"),
                *((name, "complete") for name in ("both", "held", "new")),
                ("open", "crashed"),
            ]
    assert caplog.text.count("cannot be written") == 2
    engine.dispose()
