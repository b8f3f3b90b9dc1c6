"""The types for editors are those of the schema."""

from __future__ import annotations

import lupa.lua54

from utils.config.schema import keys_of
from utils.config.stubs import FILE, stubs
from utils.config.tables import TABLES


def test_the_file_is_what_the_schema_says() -> None:
    # To mend it: venv/bin/python -m utils.config.reference --write
    assert FILE.read_text(encoding="utf-8") == stubs()


def test_every_key_is_there_and_the_file_is_lua() -> None:
    fields = [line.split()[1].rstrip("?") for line in stubs().splitlines() if "---@field" in line]
    assert fields == [known.name for table in TABLES.values() for known in keys_of(table)]
    lupa.lua54.LuaRuntime().execute(stubs())


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
