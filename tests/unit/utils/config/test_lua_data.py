"""Lua reads the same text that it was given, whatever characters are in it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest
from lua_config import PRESETS, VERSIONS, models, plain, run, variant

from utils.config.lua_data import Presets, lua_data

if TYPE_CHECKING:
    from pathlib import Path

ODD = 'C:\\Programs "x"\\größe\n]] --'
BOTH = Presets(("llamacpp", "generic"), "/bin/sh", "")


@pytest.mark.parametrize("version", VERSIONS)
def test_texts_arrive_as_they_are(version: str) -> None:
    lua = importlib.import_module(f"lupa.{version}").LuaRuntime(encoding=None)
    left = plain(lua.execute(lua_data(Presets(("a", "b"), ODD, ""), "/home/me").encode()))
    assert left["engines"] == ["a", "b"]
    assert (left["server"], left["model"], left["home"]) == (ODD, "", "/home/me")
    names = [entry["name"] for entry in left["tables"]["port_range"]]
    assert names == ["first", "last"]


PORT = 'command = { "/bin/sh", "${PORT}" }'


@pytest.mark.parametrize(
    ("extra", "inner", "faults"),
    [
        ("", "context = 512", []),
        ("", "", ["[1].variants[1].context: missing"]),
        (
            "",
            f"context = 512, {PORT}",
            ["[1].variants[1].command: no key of an engine of type llamacpp"],
        ),
        ('engine = "generic"', PORT, []),
        ('engine = "generic"', f"{PORT}, context = 512", []),
        ('engine = "generic"', "", ["[1].variants[1].command: missing"]),
        (
            'engine = "generic"',
            f'{PORT}, args = {{ "-c" }}',
            ["[1].variants[1].args: no key of an engine of type generic"],
        ),
        (
            'engine = "genric"',
            'command = { "x" }',
            [
                (
                    "[1].engine: expected presets.engines.llamacpp or presets.engines.generic,"
                    ' got "genric"; did you mean generic?'
                )
            ],
        ),
    ],
)
def test_a_key_of_one_engine_type_is_none_of_another(
    extra: str, inner: str, faults: list[str], tmp_path: Path
) -> None:
    result = run("lua54", tmp_path, models(extra, f"{{ {inner} }}"), BOTH)
    assert result.faults == [f'models{fault} (model "a")' for fault in faults]


def test_an_engine_type_that_is_not_known_here(tmp_path: Path) -> None:
    [fault] = run("lua54", tmp_path, variant("") + " x = presets.engines.generic", PRESETS).faults
    assert "presets.engines has no 'generic'" in fault
