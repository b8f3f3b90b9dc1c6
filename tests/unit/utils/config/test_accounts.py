"""The table ``accounts``, from Lua to settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lua_config import PRESETS, VERSIONS, models, run

from utils.config.accounts import AccountsSettings, PriceTable, RateLimitsTable, TierTable
from utils.config.loader import ConfigLoader
from utils.config.settings import server_settings

if TYPE_CHECKING:
    from pathlib import Path


def settings(tmp_path: Path, text: str) -> AccountsSettings | None:
    file = tmp_path / "a.lua"
    file.write_text(models("") + text)
    tables = ConfigLoader(file, PRESETS).load()
    return server_settings(tables.server, tables.accounts).accounts


def test_without_the_table_there_are_none(tmp_path: Path) -> None:
    assert settings(tmp_path, "") is None


def test_an_empty_table_turns_accounts_on(tmp_path: Path) -> None:
    assert settings(tmp_path, "accounts = {}") == AccountsSettings()


def test_every_key(tmp_path: Path) -> None:
    text = """
    accounts = {
      database_url = "postgresql://me:secret@db/gateway",
      pricing = { input_per_1k = 0.0001, output_per_1k = "0.00020", cached_per_1k = 0 },
      prices = { ["org/qwen3.5-*"] = { output_per_1k = 2 }, small = { per_request = "0.01" } },
      rate_limits = { payg = 30 },
      tiers = { gold = { rpm = 500, priority = "high", pays = true } },
      durable = true,
    }"""
    given = settings(tmp_path, text)
    assert given == AccountsSettings(
        database_url="postgresql://me:secret@db/gateway",
        pricing=PriceTable(input_per_1k="0.0001", output_per_1k="0.00020", cached_per_1k="0"),
        prices=(
            PriceTable(name="org/qwen3.5-*", output_per_1k="2"),
            PriceTable(name="small", per_request="0.01"),
        ),
        rate_limits=RateLimitsTable(payg=30),
        tiers=(TierTable(name="gold", rpm=500, priority="high", pays=True),),
        durable=True,
    )
    assert "secret" not in repr(given)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("accounts = 1", "accounts: expected a table"),
        ("accounts = { pricing = { input_per_1k = -1 } }", "expected an amount of money"),
        ('accounts = { prices = { m = { output_per_1k = "free" } } }', "accounts.prices.m.output"),
        ("accounts = { tiers = { 5 } }", "not a name; expected a table such as"),
        (
            'accounts = { tiers = { a = { priority = "hi" } } }',
            'expected "low", "normal" or "high"',
        ),
        ("accounts = { rate_limit = {} }", "did you mean rate_limits?"),
        ("acounts = {}", "did you mean accounts?"),
    ],
)
def test_faults(version: str, text: str, fault: str, tmp_path: Path) -> None:
    (told,) = run(version, tmp_path, models("") + text).faults
    assert fault in told
