"""utils/config/convert/lua_text.py: what is written is what Lua reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lupa.lua54
from hypothesis import given
from json_values import Parts, from_bytes
from lua_config import plain

from utils.config.convert.lua_text import Noted, Raw, lua_text

if TYPE_CHECKING:
    import pytest


def a_text(parts: Parts) -> str:
    return (parts.text(12) * (1 + parts.below(20))).replace("${env.", "")


def a_value(parts: Parts, depth: int = 3) -> Any:
    kind = parts.below(6 if depth else 4)
    if kind == 0:
        return bool(parts.below(2))
    if kind == 1:
        return parts.one_of((0, -1, 2**31, 2**40, -(2**40), parts.below(256), 257 * parts.below(9)))
    if kind < 4:
        return a_text(parts)
    inner = parts.several(5, lambda: a_value(parts, depth - 1)) or [True]
    return inner if kind == 4 else {a_text(parts) or f"{at}": one for at, one in enumerate(inner)}


def read(text: str) -> Any:
    lua = lupa.lua54.LuaRuntime(encoding=None)
    return plain(lua.eval(text.encode()))


@given(from_bytes(a_value, 100))
def test_lua_reads_what_was_written(value: Any) -> None:
    assert read(lua_text(value)) == value


def test_long_values_go_over_lines_and_comments_come_first() -> None:
    value = Noted({"name": "a", "args": ["-m", "x" * 50] * 3, "engine": Raw("1 + 1")}, ("why",))
    said = lua_text(value)
    assert said.splitlines()[:3] == ["{", "  -- why", '  name = "a",']
    assert max(map(len, said.splitlines())) <= 100
    assert read(said) == {"name": "a", "args": ["-m", "x" * 50] * 3, "engine": 2}


def test_a_variable_is_read_when_lua_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "/m")
    assert lua_text("${env.MODELS}/x") == 'os.getenv("MODELS") .. "/x"'
    assert read(lua_text({1: "a", "b c": "${env.MODELS}"})) == {1: "a", "b c": "/m"}
