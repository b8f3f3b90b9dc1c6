"""The options of ``main.py accounts …``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_account_commands(commands: Any, config: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse's own class is private
    """Add ``accounts`` and what can be done with them."""
    what = "create and list accounts and their keys, top them up, save and check their database"
    accounts = commands.add_parser("accounts", parents=[config], help=what, description=what)
    actions = accounts.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, what: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(
            name, parents=[config], help=what, description=what
        )
        return parser

    create = add("create", "create an account with a key, and print the key once")
    create.add_argument("name")
    create.add_argument("--admin", action="store_true", help="of the tier admin, with all rights")
    create.add_argument("--tier", default="payg", help="payg, sub, admin or one of the file")
    create.add_argument("--email")
    create.add_argument("--money", default="0", help="the balance to begin with: 12.50")
    key = add("key", "create a further key of an account, and print it once")
    key.add_argument("account", help="its number, e-mail address or name")
    key.add_argument("--name", default="key")
    key.add_argument("--scopes", default="inference read", help="'inference read admin'")
    key.add_argument("--models", nargs="*", help="the only models it may use: 'qwen3-*'")
    revoke = add("revoke", "revoke a key")
    revoke.add_argument("key", type=int, help="its number, as the list shows it")
    add("list", "list the accounts and their keys")
    top_up = add("topup", "add money to an account, or take some off it")
    top_up.add_argument("account", help="its number, e-mail address or name")
    top_up.add_argument("amount", help="12.50, or -5")
    top_up.add_argument("--note")
    top_up.add_argument("--source", help="a text that is booked once only, as an invoice's number")
    export = add("export", "write accounts, ledger and usage as CSV files")
    export.add_argument("folder", type=Path)
    backup = add("backup", "copy the database of SQLite while the gateway may go on")
    backup.add_argument("file", type=Path)
    add("verify", "check that each balance is the sum of its ledger")
