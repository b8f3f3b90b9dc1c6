"""The types for editors are those of the schema."""

from __future__ import annotations

import re

import lupa.lua54
from paths import ROOT

from app import engine_types
from utils.config.schema import keys_of
from utils.config.servers import SERVERS
from utils.config.stubs import FILE, stubs
from utils.config.tables import TABLES, Tables


def test_the_file_is_what_the_schema_says() -> None:
    # To mend it: venv/bin/python -m utils.config.reference --write
    assert FILE.read_text(encoding="utf-8") == stubs()


def test_every_key_is_there_and_the_file_is_lua() -> None:
    tables = stubs().partition("---@class GatewayOtherServer")[0]
    fields = [line.split()[1].rstrip("?") for line in tables.splitlines() if "---@field" in line]
    assert fields == [known.name for table in TABLES.values() for known in keys_of(table)]
    lupa.lua54.LuaRuntime().execute(stubs())


def test_everything_that_a_configuration_sets_or_uses_is_there() -> None:
    lua = lupa.lua54.LuaRuntime()
    lua.execute(stubs())
    source = (ROOT / "pre.lua").read_text(encoding="utf-8")
    given = re.findall(r"^function (\w+)\(|^(\w+) = closed\(", source, re.MULTILINE)
    names = {function or table for function, table in given} - {"dofile"}
    assert names > {"presets", "config_path"}
    for name in names | {*Tables._fields}:
        assert lua.globals()[name] is not None, name
    [servers] = [line for line in stubs().splitlines() if line.startswith("---@field servers")]
    assert all(f"{name}: fun(options: GatewayOtherServer)" in servers for name in SERVERS)
    [engines] = [line for line in stubs().splitlines() if line.startswith("---@field engines {")]
    assert set(re.findall(r"(\w+): string", engines)) == {*engine_types().names}


def test_tables_inside_tables_have_their_types() -> None:
    lines = stubs().splitlines()
    for start in (
        "---@field variants? GatewayVariant[] ",
        "---@field tokenization? GatewayTokenization ",
        "---@field rules? GatewayRule[] ",
        "---@field name? string ",
        "---@field cert string ",
        '---@field contexts? integer[]|"auto" ',
        "---@field to string|string[] ",
        '---@field engine_idle_timeout? number|"never" ',
    ):
        assert any(line.startswith(start) for line in lines), start
