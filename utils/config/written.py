"""``Written``: a configuration as its file has it, and as the gateway uses it, without secrets.

Everything but ``source`` is pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isinf
from typing import TYPE_CHECKING, Any, NamedTuple

from utils.config.lines import line_finder
from utils.config.local_models import DiscoverTable, LaunchOptions, ModelFolder
from utils.config.peers import PeerTable
from utils.config.routes import RouteTable
from utils.config.schema import KINDS, keys_of
from utils.config.tables import GroupTable, ModelTable, Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from utils.config.accounts import AccountsSettings
    from utils.config.schema import Key, Table
    from utils.config.settings import ServerSettings

# What stands for a secret.
HIDDEN = "•••"
_SECRET_KINDS = frozenset({"secret", "environment", "env"})
# Kinds of lists whose elements have names in the file.
_NAMED = frozenset({"tiers", "prices"})
_SECRET = re.compile(r"token|secret|passw|api.?key|authori[sz]ation|credential", re.IGNORECASE)
# As far as a place is one that can be found in the file: names of prices may be patterns.
_SEEN = re.compile(r"[A-Za-z_]\w*(?:\[\d+\]|\.[A-Za-z_]\w*)*")
_USER = re.compile(r"(?<=://)[^/@\s]+@")


class Written(NamedTuple):
    """The file, None without one, and the tables that Lua found in it."""

    path: Path | None
    tables: Tables

    def source(self) -> str:
        """Return the text of the file as it is now; "" if it cannot be read. Blocks."""
        if self.path is None:
            return ""
        try:
            return self.path.read_text("utf-8", "replace")
        except OSError:
            return ""


class _Setting(NamedTuple):
    """A key of a table at its ``place`` in the file; ``default`` is None if it has none."""

    place: str
    value: Any
    is_set: bool
    default: Any = None
    # The file has another value, which counts after a restart.
    waits: bool = False


def effective_view(settings: ServerSettings, source: str) -> dict[str, Any]:
    """Return every setting that counts, by tables, as plain JSON values.

    The tables ``server`` and ``accounts`` have all their keys, the others those that are set.
    ``line`` is that in ``source``, where it shows one.
    """
    written = settings.written or Written(None, Tables({}, []))
    line = line_finder(source)
    return {
        "file": None if written.path is None else str(written.path),
        "tables": [
            {"name": name, "settings": [_shown(each, line) for each in found]}
            for name, found in _tables(settings, written.tables)
            if found
        ],
    }


def _shown(setting: _Setting, line: Callable[[str], int | None]) -> dict[str, Any]:
    seen = _SEEN.match(setting.place)
    return {
        "name": setting.place,
        "value": setting.value,
        "default": setting.default,
        "set": setting.is_set,
        "line": line(seen[0]) if setting.is_set and seen else None,
        **({"waits_for_restart": True} if setting.waits else {}),
    }


def _tables(settings: ServerSettings, tables: Tables) -> Iterator[tuple[str, list[_Setting]]]:
    yield "server", list(_all(settings, tables.server, "server"))
    if settings.accounts is not None:
        yield "accounts", list(_all(settings.accounts, tables.accounts or {}, "accounts"))
    alone: list[tuple[str, type[Table], Mapping[str, Any]]] = [
        ("defaults", LaunchOptions, tables.defaults),
        ("discover", DiscoverTable, tables.discover or {}),
    ]
    for name, table, given in alone:
        yield name, list(_given(table, given, name))
    lists: list[tuple[str, type[Table], Sequence[Mapping[str, Any]]]] = [
        ("models", ModelTable, tables.models),
        ("groups", GroupTable, tables.groups),
        ("routes", RouteTable, tables.routes),
        ("peers", PeerTable, tables.peers),
        ("model_dirs", ModelFolder, tables.model_dirs),
    ]
    for name, table, many in lists:
        for number, given in enumerate(many, start=1):
            title = f"{name}[{number}] {given.get('name', '')}".strip()
            yield title, list(_given(table, given, f"{name}[{number}]"))


def _all(
    settings: ServerSettings | AccountsSettings, given: Mapping[str, Any], place: str
) -> Iterator[_Setting]:
    """Yield all keys of a table, with the values that count now."""
    table: type[Table] = type(settings)
    for known in keys_of(table):
        own = f"{place}.{known.name}"
        default = _plain(known, known.shown or known.default)
        if known.name not in given:
            value = getattr(settings, known.name)
            yield _Setting(own, _plain(known, value), is_set=False, default=default)
        elif known.each is not None:
            yield from _inside(known.each, known, given[known.name], own)
        else:
            value = getattr(settings, known.name)
            other = known.reload == "restart" and KINDS[known.kind].read(given[known.name]) != value
            yield _Setting(own, _plain(known, value), is_set=True, default=default, waits=other)


def _given(table: type[Table], given: Mapping[str, Any], place: str) -> Iterator[_Setting]:
    """Yield the keys of a table that are set, and those of the tables inside it."""
    keys = {known.name: known for known in keys_of(table)}
    if table is ModelTable:
        # A model by its file may have all that ``defaults`` has.
        keys = {known.name: known for known in keys_of(LaunchOptions)} | keys
    for known in keys.values():
        own = f"{place}.{known.name}"
        if known.name not in given:
            continue
        if known.each is not None:
            yield from _inside(known.each, known, given[known.name], own)
        else:
            default = _plain(known, known.shown or known.default)
            yield _Setting(own, _plain(known, given[known.name]), is_set=True, default=default)


def _inside(table: type[Table], known: Key, given: Any, place: str) -> Iterator[_Setting]:  # noqa: ANN401 - a table, or a list of them
    if isinstance(given, Mapping):
        yield from _given(table, given, place)
        return
    for number, each in enumerate(given, start=1):
        named = known.kind in _NAMED and "name" in each
        inner = f"{place}.{each['name']}" if named else f"{place}[{number}]"
        yield from _given(table, each, inner)


def _plain(known: Key, value: Any) -> Any:  # noqa: ANN401 - any value
    """Return the value as JSON has it, with nothing secret in it."""
    if known.kind in _SECRET_KINDS:
        names = value if isinstance(value, Mapping) else _names(value)
        if known.kind == "secret" or names is None:
            return HIDDEN if value else None
        return dict.fromkeys(names, HIDDEN)
    return _json(value)


def _names(value: Any) -> list[str] | None:  # noqa: ANN401 - any value
    """Return the names of variables as Lua gives them; None if it gives none."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    return [str(each["name"]) for each in value]


def _json(value: Any) -> Any:  # noqa: ANN401 - any value
    if isinstance(value, str):
        return _USER.sub(f"{HIDDEN}@", value)
    if isinstance(value, float) and isinf(value):
        return "never"
    if is_dataclass(value) and not isinstance(value, type):
        given = {each.name: getattr(value, each.name) for each in fields(value)}
        value = {name: inner for name, inner in given.items() if inner is not None}
    if isinstance(value, Mapping):
        return {str(name): _secretive(str(name), inner) for name, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return list(_words(value)) if isinstance(value, Sequence) else value


def _secretive(name: str, value: Any) -> Any:  # noqa: ANN401 - any value
    return HIDDEN if isinstance(value, str) and _SECRET.search(name) else _json(value)


def _words(value: Iterable[Any]) -> Iterator[Any]:
    """Yield the elements of a list; of a command line not what follows ``--api-key``."""
    hidden = False
    for each in value:
        if not isinstance(each, str):
            yield HIDDEN if hidden else _json(each)
            hidden = False
            continue
        name, equals, _ = each.partition("=" if "=" in each else ":")
        secret = _SECRET.search(name) is not None
        if hidden and not each.startswith("-"):
            yield HIDDEN
        elif secret and equals:
            yield f"{name}{equals}{HIDDEN}"
        else:
            yield _json(each)
        hidden = secret and not equals and each.startswith("-")
