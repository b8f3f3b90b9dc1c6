"""Write the data for the Lua files, presets and tables of keys, as text that Lua can load."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.config.local_models import LaunchOptions
from utils.config.schema import keys_of
from utils.config.servers import lua_servers
from utils.config.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from utils.config.schema import Key, Table

# All but plain characters are written as byte numbers, which every Lua reads alike.
_NO_PLAIN = re.compile(r"[^a-zA-Z0-9 \-./_]")


@dataclass(frozen=True, slots=True)
class Presets:
    """The values of ``presets`` in a configuration.

    ``engines`` are the names of the engine types, the first of which is the default. ``server``
    and ``model`` are the files that come with the gateway; "" for one that is not installed.
    """

    engines: tuple[str, ...]
    server: str
    model: str


def lua_data(presets: Presets, home: str) -> str:
    """Return a Lua chunk that returns the presets, the home folder and the keys of each table."""
    tables = {
        title: [
            {
                "name": known.name,
                "check": known.kind,
                "required": known.required,
                **_set("engines", known.engines),
                **_set("required_by", known.required_by),
            }
            for known in _keys(title, table)
        ]
        for title, table in TABLES.items()
    }
    data = {
        "engines": presets.engines,
        "server": presets.server,
        "model": presets.model,
        "home": home,
        "servers": lua_servers(),
        "tables": tables,
    }
    return f"return {_literal(data)}\n"


def _keys(title: str, table: type[Table]) -> list[Key]:
    """Return the keys of the table; a model may have all that ``defaults`` has."""
    keys = {known.name: known for known in keys_of(table)}
    if title == "model":
        keys = {known.name: known for known in keys_of(LaunchOptions)} | keys
    return list(keys.values())


def _set(name: str, members: tuple[str, ...]) -> dict[str, dict[str, bool]]:
    return {name: dict.fromkeys(members, True)} if members else {}


def _literal(value: Any) -> str:  # noqa: ANN401 - plain values, lists and dicts of them
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # A character for each byte.
        return '"' + _NO_PLAIN.sub(_number, os.fsencode(value).decode("latin-1")) + '"'
    if isinstance(value, Mapping):
        return _braces(f"[{_literal(name)}]={_literal(inner)}" for name, inner in value.items())
    return _braces(_literal(inner) for inner in value)


def _number(found: re.Match[str]) -> str:
    return f"\\{ord(found[0]):03d}"


def _braces(parts: Iterable[str]) -> str:
    return "{" + ",".join(parts) + "}"
