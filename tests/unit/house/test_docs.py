"""The reference in docs/configuration.md names every key with its default, and no other."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import get_type_hints

import pytest
from lupa.lua54 import LuaRuntime
from paths import ROOT

from models.spec import GroupSpec, ModelSpec, TokenizationSpec, VariantSpec
from utils.config import settings
from utils.config.settings import ServerSettings, endpoint
from utils.config.tables import (
    GroupSettingsTable,
    ModelTable,
    ServerTable,
    TimeoutsTable,
    TokenizationTable,
    VariantTable,
)

TEXT = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
NOTHING = "\N{EN DASH}"
TABLES = {
    "server": ServerTable,
    "model": ModelTable,
    "group": GroupSettingsTable,
    "tokenization": TokenizationTable,
    "variant": VariantTable,
}
TIMES = set(TimeoutsTable.__annotations__)


def documented(title: str) -> dict[str, list[str]]:
    """Key → the cells of its row, in the section ``title``."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line.startswith(("| `", "| **")):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            key = cells[0].strip("*`")
            assert key not in rows, f"{key} is documented twice"
            rows[key] = cells
    return rows


def schema(title: str) -> dict[str, bool]:
    """Key → whether it must be set, as post.lua checks it."""
    lua = LuaRuntime()
    path = ROOT / "utils" / "config" / "lua" / "schema.lua"
    entries = lua.execute(path.read_text(encoding="utf-8"))[title]
    return {entry[1]: bool(entry["required"]) for entry in entries.values()}


@pytest.mark.parametrize("title", TABLES)
def test_the_same_keys_are_documented_checked_and_typed(title: str) -> None:
    keys = set(get_type_hints(TABLES[title]))
    assert set(documented(title)) == set(schema(title)) == keys


@pytest.mark.parametrize("title", TABLES)
def test_every_row_is_complete(title: str) -> None:
    for cells in documented(title).values():
        assert len(cells) == 4
        assert all(cells)


@pytest.mark.parametrize("title", TABLES)
def test_what_must_be_set_is_in_bold(title: str) -> None:
    bold = {key: cells[0].startswith("**") for key, cells in documented(title).items()}
    assert bold == schema(title)


def as_documented(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value:.15g}`"
    return "`{}`" if value == () else "?"


def defaults(spec: type[ServerSettings | TokenizationSpec]) -> dict[str, str]:
    return {
        field.name: "`{}`" if field.default is MISSING else as_documented(field.default)
        for field in fields(spec)
    }


def test_the_defaults_of_server() -> None:
    expected = defaults(ServerSettings) | {
        "listen_v4": as_documented(settings.LISTEN_V4),
        "listen_v6": as_documented(settings.LISTEN_V6),
    }
    del expected["listen"]
    assert {key: cells[2] for key, cells in documented("server").items()} == expected
    assert ServerSettings().listen == (endpoint(settings.LISTEN_V4),)
    assert settings.LISTEN_V6 == "none"


def test_the_defaults_of_tokenization() -> None:
    expected = defaults(TokenizationSpec)
    assert {key: cells[2] for key, cells in documented("tokenization").items()} == expected


def test_the_defaults_of_model() -> None:
    rows = {key: cells[2] for key, cells in documented("model").items()}
    assert {rows.pop(key) for key in (*TIMES, "state_carry", "grow_answers", "grow_ahead")} == {
        "from `server`"
    }
    by_name = {field.name: field.default for field in fields(ModelSpec)}
    assert by_name["engine"] == "llamacpp"
    assert rows == {
        "name": NOTHING,
        "variants": NOTHING,
        "aliases": as_documented(by_name["aliases"]),
        "engine": "`presets.engines.llamacpp`",
        "connect": as_documented(by_name["connect"]),
        "group": as_documented(by_name["group"]),
        "pinned": as_documented(by_name["pinned"]),
        "tokenization": "`{}`",
        "capabilities": as_documented(by_name["capabilities"]),
        "set_params": "`{}`",
        "strip_params": as_documented(by_name["strip_params"]),
        "upstream_model": as_documented(by_name["upstream_model"]),
    }


def test_the_defaults_of_group() -> None:
    by_name = {field.name: field.default for field in fields(GroupSpec)}
    rows = {key: cells[2] for key, cells in documented("group").items()}
    assert rows == {"persistent": as_documented(by_name["persistent"])}


def test_the_defaults_of_variant() -> None:
    rows = {key: cells[2] for key, cells in documented("variant").items()}
    assert {rows.pop(key) for key in (*TIMES, "state_carry")} == {"from the model"}
    by_name = {field.name: field.default for field in fields(VariantSpec)}
    assert rows == {
        "context": NOTHING,
        "binary": "`presets.bundled.server`",
        "args": as_documented(by_name["args"]),
        "env": "`{}`",
        "needs": "`{}`",
        "parallel": as_documented(by_name["parallel"]),
    }


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
