"""accounts/commands.py: what ``main.py accounts …`` does and says."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from accounts.commands import cell
from accounts.keys import digest_of
from accounts.store.database import address, open_database
from accounts.tables import API_KEYS
from main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Carry out a command, and return its exit status and all it said."""
    config = tmp_path / "c.lua"
    state = tmp_path / "state"
    config.write_text(
        f'server = {{ state_dir = "{state}" }}\n'
        "accounts = { tiers = { gold = {} } }\n"
        'models = { { name = "m", engine = presets.engines.remote, url = "http://127.0.0.1:9" } }\n'
    )

    def run(*args: str) -> tuple[int, str]:
        status = main(["accounts", args[0], "-c", str(config), *args[1:]])
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


def engine(folder: Path) -> Engine:
    return open_database(address(None, folder / "state"))


def test_from_nothing_to_a_key_with_money(
    said: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    status, told = said("create", "Ada", "--email", "Ada@Example.com", "--money", "12.50")
    assert status == 0
    key = told.split()[-1]
    assert key.startswith("sk-gw-")
    with engine(tmp_path).connect() as connection:
        assert connection.execute(API_KEYS.select()).one().digest == digest_of(key)
    assert (
        said("topup", "ada@example.com", "0.5", "--source", "invoice-1")[1] == "account 1 has 13\n"
    )
    assert said("topup", "Ada", "0.5", "--source", "invoice-1")[1] == "account 1 has 13\n"
    assert said("topup", "--note", "back", "1", "-3")[1] == "account 1 has 10\n"
    status, told = said("list")
    assert "1  Ada <ada@example.com>  payg, active, 10" in told
    assert f"key 1  {key[:12]}…  first: inference read" in told
    assert key not in told
    assert said("verify") == (0, "every balance is the sum of its ledger\n")


def test_an_admin_and_other_keys(said: Callable[..., tuple[int, str]]) -> None:
    assert said("create", "root", "--admin")[0] == 0
    status, told = said("key", "root", "--scopes", "read", "--models", "qwen3-*", "m")
    assert status == 0
    assert "key 2 of account 1" in told
    assert said("revoke", "2") == (0, "key 2 is revoked\n")
    told = said("list")[1]
    assert "inference read admin" in told
    assert "key 2" in told
    assert "revoked" in told


MISTAKES = [
    (("create", "a", "--tier", "silver"), "there is no tier 'silver'"),
    (("create", "a", "--money", "much"), "not an amount of money"),
    (("topup", "nobody", "1"), "there is no account nobody"),
    (("key", "nobody", "--scopes", "all"), "there is no scope 'all'"),
    (("revoke", "7"), "there is no key 7"),
]


def test_mistakes_change_nothing(said: Callable[..., tuple[int, str]]) -> None:
    for args, words in MISTAKES:
        status, told = said(*args)
        assert status == 1, args
        assert words in told
    assert said("list") == (0, "")


def test_a_mail_address_is_that_of_one_account(said: Callable[..., tuple[int, str]]) -> None:
    assert said("create", "a", "--tier", "gold", "--email", "a@b")[0] == 0
    status, told = said("create", "b", "--email", "A@B")
    assert status == 1
    assert "there already" in told


def test_export_and_backup_are_the_owners_alone(
    said: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    said("create", "=cmd()", "--money", "1")
    out = tmp_path / "out"
    assert said("export", str(out))[0] == 0
    assert "'=cmd()" in (out / "accounts.csv").read_text()
    assert ",grant,1," in (out / "ledger.csv").read_text()
    copy = tmp_path / "copy.db"
    assert said("backup", str(copy))[0] == 0
    assert said("backup", str(copy)) == (1, f"llm-gateway: {copy}: there is a file already\n")
    for file in (*out.iterdir(), copy):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with open_database(f"sqlite:///{copy}").connect() as connection:
        assert connection.execute(text("SELECT balance FROM accounts")).scalar() == 10**9


def test_books_that_are_wrong_are_told(
    said: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    said("create", "a", "--money", "1")
    with engine(tmp_path).begin() as connection:
        connection.execute(text("UPDATE accounts SET balance = balance + 5"))
    status, told = said("verify")
    assert status == 1
    assert "balance 1.000000005, ledger 1" in told


def test_cells() -> None:
    assert cell("cost", 1_500_000_000) == "1.5"
    assert cell("prompt", 7) == 7
    assert cell("note", "+1") == "'+1"
    assert cell("note", None) is None


def test_without_accounts_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.lua"
    config.write_text(
        'models = { { name = "m", engine = presets.engines.remote, url = "http://127.0.0.1:9" } }\n'
    )
    assert main(["accounts", "list", "-c", str(config)]) == 2
    assert "has no accounts" in capsys.readouterr().err
