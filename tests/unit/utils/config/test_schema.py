"""Tables of keys: what a field says of a key, and how values are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from utils.config.reference import keys_table
from utils.config.schema import Key, key, keys_of, read
from utils.config.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Shared:
    wait: float = field(default=5.0, metadata=key("seconds", "A wait.", inherits=True))


@dataclass(frozen=True, kw_only=True)
class Inner(Shared):
    words: tuple[str, ...] = field(default=(), metadata=key("arguments", "Words."))


@dataclass(frozen=True, kw_only=True)
class Outer(Shared):
    title: str = ""
    size: int = field(metadata=key("positive", "A size.", reload="engine"))
    env: Mapping[str, str] = field(default_factory=dict, metadata=key("env", "Names."))
    one: Inner = field(default_factory=Inner, metadata=key("tokenization", "One.", each=Inner))
    many: tuple[Inner, ...] = field(default=(), metadata=key("variants", "Many.", each=Inner))


def test_a_field_says_what_a_key_is() -> None:
    size, *_, wait = keys_of(Outer)
    assert size == Key("size", "positive", "A size.", required=True, reload="engine")
    assert wait == Key("wait", "seconds", "A wait.", default=5.0, inherits=True)
    assert [known.name for known in keys_of(Outer)] == ["size", "env", "one", "many", "wait"]


def test_what_is_left_out_has_its_default() -> None:
    assert read(Outer, {"size": 1}) == Outer(size=1)


def test_values_become_those_of_python() -> None:
    table = {"size": 1, "wait": 3, "title": "t", "env": [{"name": "a.b", "value": "c"}]}
    found = read(Outer, table)
    assert found == Outer(size=1, wait=3.0, title="t", env={"a.b": "c"})
    assert isinstance(found.wait, float)
    with pytest.raises(TypeError):
        found.env["a"] = "b"  # type: ignore[index]


def test_a_key_comes_from_the_innermost_table_that_sets_it() -> None:
    table: dict[str, Any] = {"size": 1, "one": {"words": ["a"]}, "many": [{}, {"wait": 7}]}
    above = {"wait": 2.0, "size": 9}
    found = read(Outer, table, above)
    assert (found.wait, found.one.wait, found.size) == (2.0, 2.0, 1)
    assert found.one.words == ("a",)
    assert [inner.wait for inner in found.many] == [2.0, 7.0]
    found = read(Outer, {**table, "wait": 3}, above)
    assert [inner.wait for inner in found.many] == [3.0, 7.0]
    assert read(Outer, table).many[0].wait == 5.0


def test_a_key_of_some_engine_types_says_so_in_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclass(frozen=True)
    class Some:
        command: str | None = field(
            default=None, metadata=key("name", "How.", engines=("generic", "other"))
        )

    monkeypatch.setitem(TABLES, "some", Some)
    assert keys_table("some").splitlines()[2:] == [
        "| `command` | name | \N{EN DASH} | How. Only for engines of type `generic` and `other`. |"
    ]
