"""The reference in docs/configuration.md has every key with its default, and no other."""

from __future__ import annotations

import re

import pytest
from paths import ROOT

from utils.config.reference import changes_table, keys_table, servers_table, with_tables
from utils.config.schema import KINDS, keys_of
from utils.config.tables import TABLES

TEXT = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_tables_of_keys_are_those_of_the_schema() -> None:
    # To mend it: venv/bin/python -m utils.config.reference --write
    assert with_tables(TEXT) == TEXT


def test_each_table_has_a_section() -> None:
    for title in TABLES.keys() - {"port_range"}:
        assert f"\n## {title}\n" in TEXT
        assert keys_table(title) in TEXT
    assert changes_table() in TEXT
    assert servers_table() in TEXT


@pytest.mark.parametrize("title", TABLES)
def test_every_key_is_complete(title: str) -> None:
    for known in keys_of(TABLES[title]):
        assert known.meaning.endswith(".")
        assert "|" not in known.meaning
        assert known.kind in KINDS


def test_every_kind_has_a_check() -> None:
    folder = ROOT / "utils" / "config" / "lua"
    source = "\n".join(
        (folder / name).read_text(encoding="utf-8") for name in ("checks.lua", "routes.lua")
    )
    checks = set(re.findall(r"(?:function |^  )checks\.(\w+)(?:\(| =)", source, re.MULTILINE))
    assert {known.kind for table in TABLES.values() for known in keys_of(table)} == KINDS.keys()
    assert KINDS.keys() <= checks


def test_every_name_that_a_configuration_gets_is_documented() -> None:
    source = (ROOT / "pre.lua").read_text(encoding="utf-8")
    functions = set(re.findall(r"^function (\w+)\(", source, re.MULTILINE)) - {"dofile"}
    section = TEXT.split("\n## Presets and functions\n")[1].split("\n### ")[0]
    named = set(re.findall(r"^\| `(\w+)\(", section, re.MULTILINE))
    assert named == functions


def test_every_option_for_mixtures_of_experts_is_documented() -> None:
    source = (ROOT / "pre.lua").read_text(encoding="utf-8")
    table = source.split("local moe_options = {")[1].split("}")[0]
    section = TEXT.split("\n### get_llama_moe_args\n")[1].split("\n## ")[0]
    first_cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == set(re.findall(r"(\w+) =", table))
