"""``main.py accounts …``: what an operator does with the accounts, with or without a gateway."""

from __future__ import annotations

import csv
import os
import secrets
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from accounts.keys import SCOPES
from accounts.money import as_text, to_nano
from accounts.store.changes import (
    Actor,
    NoSuchAccount,
    add_money,
    create_account,
    create_key,
    find_account,
    revoke_key,
)
from accounts.store.database import address, open_database
from accounts.store.migrate import DatabaseTooNew, migrate
from accounts.store.upkeep import verify
from accounts.tables import ACCOUNTS, API_KEYS, LEDGER, USAGE
from accounts.tiers import ADMIN, tiers_of
from utils.errors import BadRequest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection, Table

    from utils.config.accounts import AccountsSettings

_WRONG = 1
# A program for tables takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_AMOUNTS = frozenset({"balance", "held", "amount", "cost", "budget", "spent"})
_HIDDEN = frozenset({"password_hash"})


def run_account_command(args: argparse.Namespace, settings: AccountsSettings, folder: Path) -> int:
    """Carry out the command and return the exit status; BadRequest says what is wrong with it."""
    url = address(settings.database_url, folder)
    if args.action == "backup":
        return _backup(url, args.file)
    try:
        engine = open_database(url)
        migrate(engine)
        with engine.begin() as connection:
            return _COMMANDS[args.action](args, connection, settings)
    except NoSuchAccount as error:
        raise BadRequest(f"there is no account {error}, or more than one of this name") from None
    except IntegrityError as error:
        raise BadRequest(f"this is there already: {error.orig}") from None
    except (SQLAlchemyError, OSError, DatabaseTooNew) as error:
        reason = str(error).partition("\n")[0]
        raise BadRequest(f"the database of the accounts cannot be used: {reason}") from error


def _create(args: argparse.Namespace, connection: Connection, settings: AccountsSettings) -> int:
    tier = ADMIN if args.admin else args.tier
    if tier not in (known := tiers_of(settings)):
        raise BadRequest(f"there is no tier '{tier}'; there are {', '.join(known)}")
    money = _amount(args.money)
    account = create_account(connection, _me(), args.name, tier, {"email": args.email})
    if money:
        source = f"topup:{account}:{secrets.token_hex(4)}"
        add_money(connection, _me(), account, money, kind="grant", source=source)
    scopes = " ".join(SCOPES) if tier == ADMIN else "inference read"
    _, key = create_key(connection, _me(), account, "first", {"scopes": scopes})
    _say(f"account {account} ({tier}), {as_text(money)}")
    _say("its key, which is shown only now:")
    _say(key.text)
    return 0


def _key(args: argparse.Namespace, connection: Connection, _settings: AccountsSettings) -> int:
    scopes = args.scopes.replace(",", " ").split()
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise BadRequest(f"there is no scope '{unknown[0]}'; there are {', '.join(SCOPES)}")
    account = find_account(connection, args.account)
    columns: dict[str, Any] = {"scopes": " ".join(scopes), "models": args.models}
    number, key = create_key(connection, _me(), account, args.name, columns)
    _say(f"key {number} of account {account}, which is shown only now:")
    _say(key.text)
    return 0


def _revoke(args: argparse.Namespace, connection: Connection, _settings: AccountsSettings) -> int:
    if not revoke_key(connection, _me(), args.key):
        raise BadRequest(f"there is no key {args.key} that could be revoked")
    _say(f"key {args.key} is revoked")
    return 0


def _list(_args: argparse.Namespace, connection: Connection, _settings: AccountsSettings) -> int:
    keys = connection.execute(select(API_KEYS).order_by(API_KEYS.c.id)).mappings().all()
    for account in connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.id)).mappings():
        mail = f" <{account['email']}>" if account["email"] else ""
        _say(
            f"{account['id']}  {account['name']}{mail}  {account['tier']}, {account['status']},"
            f" {as_text(account['balance'])}"
        )
        for key in (key for key in keys if key["account_id"] == account["id"]):
            state = "revoked" if key["revoked_at"] else key["scopes"]
            _say(f"    key {key['id']}  {key['prefix']}…  {key['name']}: {state}")
    return 0


def _top_up(args: argparse.Namespace, connection: Connection, _settings: AccountsSettings) -> int:
    account, amount = find_account(connection, args.account), _amount(args.amount)
    if not amount:
        raise BadRequest("an amount of 0 changes nothing")
    source = f"topup:{args.source or secrets.token_hex(8)}"
    kind = "topup" if amount > 0 else "adjust"
    balance = add_money(
        connection, _me(), account, amount, kind=kind, source=source, note=args.note
    )
    _say(f"account {account} has {as_text(balance)}")
    return 0


def _export(args: argparse.Namespace, connection: Connection, _settings: AccountsSettings) -> int:
    args.folder.mkdir(parents=True, exist_ok=True)
    for table in (ACCOUNTS, LEDGER, USAGE):
        path = args.folder / f"{table.name}.csv"
        _say(f"{path}: {_write(connection, table, path)} row(s)")
    return 0


def _write(connection: Connection, table: Table, path: Path) -> int:
    columns = [column for column in table.c if column.name not in _HIDDEN]
    count = 0
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(opened, "w", newline="", encoding="utf-8") as file:  # noqa: PTH123 - it is open
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        rows = connection.execution_options(yield_per=1000).execute(select(*columns))
        for row in rows:
            named = zip(columns, row, strict=True)
            writer.writerow([cell(column.name, value) for column, value in named])
            count += 1
    return count


def cell(column: str, value: object) -> object:
    """Return what stands in a cell of a CSV file; money as decimal text, and never a formula."""
    if column in _AMOUNTS and isinstance(value, int):
        return as_text(value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _verify(_args: argparse.Namespace, connection: Connection, _settings: AccountsSettings) -> int:
    wrong = verify(connection)
    for each in wrong:
        _say(
            f"account {each.account}: balance {as_text(each.balance)}, ledger"
            f" {as_text(each.ledger)}; held {as_text(each.held)}, holds {as_text(each.holds)}"
        )
    if not wrong:
        _say("every balance is the sum of its ledger")
    return _WRONG if wrong else 0


def _backup(url: str, path: Path) -> int:
    where = make_url(url)
    if where.get_backend_name() != "sqlite" or not where.database:
        raise BadRequest("the accounts are in PostgreSQL: use pg_dump")
    if path.exists():
        raise BadRequest(f"{path}: there is a file already")
    if not os.path.exists(where.database):  # noqa: PTH110 - a text of SQLAlchemy's
        raise BadRequest(f"{where.database}: there is no such database")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        source, target = sqlite3.connect(where.database), sqlite3.connect(path)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
    except sqlite3.Error as error:
        path.unlink()
        raise BadRequest(f"the database cannot be copied: {error}") from error
    _say(f"{path}: {path.stat().st_size} bytes")
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace, Connection, AccountsSettings], int]] = {
    "create": _create,
    "key": _key,
    "revoke": _revoke,
    "list": _list,
    "topup": _top_up,
    "export": _export,
    "verify": _verify,
}


def _amount(text: str) -> int:
    try:
        return to_nano(text)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _me() -> Actor:
    return Actor(int(time.time() * 1000))


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the answer asked for
