"""Write values as Lua. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_WORDS = frozenset(
    """
    and break do else elseif end false for function goto if in local nil not or repeat return then
    true until while
    """.split()  # noqa: SIM905 - a list of twenty words reads worse
)
_ENVIRONMENT = re.compile(r"\$\{env\.(\w+)\}")
_WIDTH = 96
_STEP = "  "


@dataclass(frozen=True, slots=True)
class Raw:
    """A piece of Lua, as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A table with lines of comment at its beginning."""

    value: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def lua_text(value: Any, indent: str = "", taken: int = 0) -> str:  # noqa: ANN401 - what YAML has
    """Return the value as Lua, from a place with ``taken`` characters on its line.

    ``${env.NAME}`` in a text becomes the value of that variable when Lua reads it.
    """
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Noted):
        notes = [f"{indent}{_STEP}-- {line}" for line in value.notes]
        return _table(value.value, indent, notes)
    if isinstance(value, Mapping):
        return _short(value, indent, taken) or _table(value, indent, [])
    if isinstance(value, list | tuple):
        return _short(value, indent, taken) or _list(value, indent)
    return _single(value)


def _single(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nil"
    return f"{value:.15g}" if isinstance(value, int | float) else text(str(value))


def text(value: str) -> str:
    """Return a text as Lua."""
    pieces = _ENVIRONMENT.split(value)
    parts = [
        f'os.getenv("{piece}")' if number % 2 else _quoted(piece)
        for number, piece in enumerate(pieces)
        if piece or len(pieces) == 1
    ]
    return " .. ".join(parts)


def _begin(name: object) -> str:
    """Return what stands before a value in a table; nothing for a number, its place."""
    return "" if isinstance(name, int) else f"{_key(str(name))} = "


def _key(name: str) -> str:
    return name if _NAME.fullmatch(name) and name not in _WORDS else f"[{_quoted(name)}]"


def _quoted(value: str) -> str:
    plain = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\{ord(found[0]):03d}", plain) + '"'


def _short(value: Any, indent: str, taken: int) -> str:  # noqa: ANN401 - a dict or a list
    """Return the value on one line, "" if it is too long or has comments."""
    if _has_notes(value):
        return ""
    if isinstance(value, Mapping):
        inner = [f"{_begin(name)}{lua_text(each)}" for name, each in value.items()]
    else:
        inner = [lua_text(each) for each in value]
    line = f"{{ {', '.join(inner)} }}" if inner else "{}"
    return line if len(line) + max(taken, len(indent)) < _WIDTH and "\n" not in line else ""


def _has_notes(value: Any) -> bool:  # noqa: ANN401 - as above
    if isinstance(value, Mapping):
        return any(map(_has_notes, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_notes, value))
    return isinstance(value, Noted)


def _table(value: Mapping[str, Any], indent: str, lines: list[str]) -> str:
    inside = indent + _STEP
    for name, each in value.items():
        begin = f"{inside}{_begin(name)}"
        lines.append(f"{begin}{lua_text(each, inside, len(begin))},")
    return "\n".join(["{", *lines, f"{indent}}}"])


def _list(value: list[Any] | tuple[Any, ...], indent: str) -> str:
    inside = indent + _STEP
    parts = [lua_text(each, inside, len(inside)) for each in value]
    if any("\n" in part for part in parts) or any(isinstance(each, Mapping) for each in value):
        return "\n".join(["{", *(f"{inside}{part}," for part in parts), f"{indent}}}"])
    # Short ones, such as arguments, fill their lines.
    lines = [""]
    for part in parts:
        if lines[-1] and len(inside) + len(lines[-1]) + len(part) + 2 > _WIDTH:
            lines.append("")
        lines[-1] += f" {part}," if lines[-1] else f"{part},"
    return "\n".join(["{", *(inside + line for line in lines), f"{indent}}}"])
