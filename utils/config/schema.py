"""Define the keys of the configuration, and read a table of keys.

A dataclass stands for a table of the Lua file. Each field made with ``metadata=key(...)`` is a
key: the field gives its name, type and default, and ``key`` the rest. From these come the checks in
Lua, the gateway's settings, the effect of a reload, and the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from math import inf
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, TypeVar

_KEY = "key"
_NOTHING: Mapping[str, Any] = MappingProxyType({})

# When a changed value takes effect after a reload: at once ("now"), for engines that start later
# ("start"), when the running engine is replaced ("engine"), or after a restart of the gateway
# ("restart"). A changed "name" means another model or variant.
Reload = Literal["now", "start", "engine", "restart", "name"]


class Table(Protocol):
    """A dataclass whose fields are keys."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value. ``written`` names it in the reference.

    The function of that name in checks.lua checks a value; ``read`` converts it for Python.
    """

    written: str
    read: Callable[[Any], Any] = lambda value: value


def _environment(entries: list[dict[str, str]]) -> Mapping[str, str]:
    return MappingProxyType({entry["name"]: entry["value"] for entry in entries})


def _counts(entries: list[dict[str, Any]]) -> Mapping[str, Any]:
    return MappingProxyType({entry["name"]: entry["value"] for entry in entries})


def _labels(entries: list[dict[str, Any]]) -> Mapping[str, tuple[str, ...]]:
    return MappingProxyType({entry["name"]: tuple(entry["value"]) for entry in entries})


def _seconds_or_never(given: float | str) -> float:
    return inf if given == "never" else float(given)


def _as_written(given: float | str) -> str:
    return given if isinstance(given, str) else repr(given)


KINDS = {
    "aliases": Kind("list of names", tuple),
    "amount": Kind("integer ≥ 0"),
    "arguments": Kind("list", tuple),
    "binary": Kind("path"),
    "bytes": Kind("size"),
    "cache_type": Kind("text"),
    "capabilities": Kind("list of names", frozenset),
    "classify": Kind("table"),
    "command": Kind("list", tuple),
    "connect": Kind("URL"),
    "counts": Kind("table", _counts),
    "counting": Kind("text"),
    "download": Kind("text"),
    "delay": Kind("seconds ≥ 0", float),  # Lua writes 5.0 as 5; a time is a float all the same
    "engine_type": Kind("preset"),
    "env": Kind("table", _environment),
    "expression": Kind("expression"),
    "contexts": Kind(
        'list, or `"auto"`', lambda value: value if isinstance(value, str) else tuple(value)
    ),
    "file": Kind("path"),
    "flag": Kind("boolean"),
    "hosts": Kind("list of names", tuple),
    "hours": Kind("two hours", tuple),
    "idle": Kind('seconds > 0, or `"never"`', _seconds_or_never),
    "labels": Kind("table", _labels),
    "layers": Kind('integer, or `"auto"`'),
    "listen_v4": Kind("address"),
    "listen_v6": Kind("address"),
    "log_level": Kind("text"),
    "money": Kind("amount of money", _as_written),
    "metadata": Kind("table", MappingProxyType),
    "name": Kind("name"),
    "networks": Kind("list of addresses", tuple),
    "oidc": Kind("table"),
    "origins": Kind("list of origins", tuple),
    "param_names": Kind("list of names", tuple),
    "parts": Kind("list of names", frozenset),
    "path": Kind("path"),
    "path_inside": Kind("text"),
    "paths": Kind("list of paths", tuple),
    "patterns": Kind("list of names", tuple),
    "params": Kind("table", MappingProxyType),
    "picker": Kind("text"),
    "port": Kind("port"),
    "port_range": Kind("table", lambda ports: (ports["first"], ports["last"])),
    "positive": Kind("integer > 0"),
    "price": Kind("table"),
    "prices": Kind("table"),
    "priority": Kind("text"),
    "prose": Kind("text"),
    "rate_limits": Kind("table"),
    "projector": Kind("path, or `false`"),
    "repository": Kind("text"),
    "resources": Kind("table", MappingProxyType),
    "rules": Kind("list"),
    "seconds": Kind("seconds > 0", float),
    "secret": Kind("text"),
    "signal": Kind("signal"),
    "slot_type": Kind("text"),
    "slots": Kind("list"),
    "status": Kind("status"),
    "targets": Kind("list of names", tuple),
    "text": Kind("path"),
    "tiers": Kind("table"),
    "tls": Kind("table"),
    "tokenization": Kind("table"),
    "url": Kind("URL"),
    "variant_name": Kind("name"),
    "variants": Kind("list"),
    "words": Kind("list of names", tuple),
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table. ``default`` is None for no default; if ``shown``, as Lua writes it.

    ``engines`` are the engine types whose tables may have the key; empty means all. A ``required``
    key must be set in each of these tables; one with ``required_by``, in the tables of those types.
    An ``inherits`` key takes its value from the table one level up. ``each`` is the table of its
    value, or of each element of its value.
    """

    name: str
    kind: str
    meaning: str
    default: Any = None
    required: bool = False
    engines: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()
    inherits: bool = False
    reload: Reload = "now"
    shown: str = ""
    each: type[Table] | None = None


def key(kind: str, meaning: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of Key
    """Return the metadata of a key's field: its kind, its meaning, and other fields of ``Key``."""
    return {_KEY: {"kind": kind, "meaning": meaning, **more}}


@cache
def keys_of(table: type[Table]) -> tuple[Key, ...]:
    """Return the keys of ``table`` in the order of its fields, with inherited keys last."""
    keys = (_key(each) for each in fields(table) if _KEY in each.metadata)
    return tuple(sorted(keys, key=lambda known: known.inherits))


def _key(each: Field[Any]) -> Key:
    default = each.default
    if each.default_factory is not MISSING:
        default = each.default_factory()
    known: dict[str, Any] = each.metadata[_KEY]
    required = default is MISSING
    return Key(
        each.name, **{"default": None if required else default, "required": required, **known}
    )


def read(table: type[T], given: Mapping[str, Any], above: Mapping[str, Any] = _NOTHING) -> T:
    """Return the value of a table that Lua has checked. ``above`` has the values one level up.

    A missing key has the value of the level above if it inherits, else its default.
    """
    values: dict[str, Any] = {}
    inner: list[tuple[Key, type[Table]]] = []
    for known in keys_of(table):
        if known.name not in given:
            if known.inherits and known.name in above:
                values[known.name] = above[known.name]
        elif known.each is None:
            values[known.name] = KINDS[known.kind].read(given[known.name])
        else:
            inner.append((known, known.each))
    # The tables inside this one inherit from it.
    for known, each in inner:
        one = given[known.name]
        values[known.name] = (
            read(each, one, values)
            if isinstance(one, Mapping)
            else tuple(read(each, item, values) for item in one)
        )
    # The name of a group is a field, but not a key of its table.
    more = {name: given[name] for name in _names(table) if name in given and name not in values}
    return table(**values, **more)


@cache
def _names(table: type[Table]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(table))
