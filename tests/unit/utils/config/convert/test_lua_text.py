"""utils/config/convert/lua_text.py: what is written is what Lua reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lupa.lua54
from hypothesis import given
from hypothesis import strategies as st
from lua_config import plain

from utils.config.convert.lua_text import Noted, Raw, lua_text

if TYPE_CHECKING:
    import pytest

texts = st.text(st.characters(codec="utf-8"), max_size=200).filter(lambda t: "${env." not in t)
singles = st.booleans() | st.integers(-(2**40), 2**40) | texts
values = st.recursive(
    singles,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=6)
        | st.dictionaries(texts.filter(bool), inner, min_size=1, max_size=6)
    ),
    max_leaves=20,
)


def read(text: str) -> Any:
    lua = lupa.lua54.LuaRuntime(encoding=None)
    return plain(lua.eval(text.encode()))


@given(values)
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
