"""Find the line of a Lua file at which a key is set. Pure.

The file is not run: only tables that are written out are followed, as in ``models = { { … } }``. Of
a key that is set in another way, the last line on the way to it is found. Where a name is set more
than once, it is not certain which one counts, so no line is found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r"""(?P<space>\s+|--\[(?P<c>=*)\[.*?\](?P=c)\]|--[^\n]*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\[(?P<s>=*)\[.*?\](?P=s)\])
    |(?P<word>[A-Za-z_]\w*)
    |(?P<mark>==|~=|<=|>=|\.\.+|[^\w\s]|\d[\w.]*)""",
    re.VERBOSE | re.DOTALL,
)
_STEP = re.compile(r"\[(\d+)\]|(?:^|\.)([A-Za-z_]\w*)")
_PLACE = re.compile(r"[A-Za-z_]\w*(?:\[\d+\]|\.[A-Za-z_]\w*)*(?=:|$)")
_OPEN, _CLOSE = frozenset("{(["), frozenset("})]")
_BLOCKS = frozenset({"function", "do", "then", "repeat"})
_ENDS = frozenset({"end", "until", "elseif"})


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


@dataclass(slots=True)
class _Value:
    """A value in the file: its line, and those inside it if it is a table that is written out."""

    line: int
    inside: dict[str | int, _Value] = field(default_factory=dict)


def with_lines(source: str, faults: list[str]) -> list[str]:
    """Return the faults, each of which begins with its place, with their lines in the file."""
    line = line_finder(source)
    return [f"{fault}{_shown(line(fault))}" for fault in faults]


def line_finder(source: str) -> Callable[[str], int | None]:
    """Return what finds the line of the place with which a text begins; None if it is not seen."""
    known = _assigned(list(_tokens(source)))
    return lambda text: _line(known, text)


def _shown(line: int | None) -> str:
    return "" if line is None else f" (line {line})"


def _line(known: dict[str | int, _Value], fault: str) -> int | None:
    """Return the line of the place, else that of what it is in."""
    place = _PLACE.match(fault)
    found, inside = None, known
    for step in _STEP.finditer(place[0] if place else ""):
        value = inside.get(int(step[1]) if step[1] else step[2])
        if value is None:
            break
        found, inside = value.line, value.inside
    return found


def _tokens(source: str) -> Iterator[_Token]:
    line = 1
    for found in _TOKEN.finditer(source):
        kind = found.lastgroup or ""
        if found["space"] is None:
            kind = next(name for name in ("text", "word", "mark") if found[name] is not None)
            yield _Token(kind, found[0], line)
        line += found[0].count("\n")


def _assigned(tokens: list[_Token]) -> dict[str | int, _Value]:
    """Return the values of the names that are set once, outside of blocks."""
    known: dict[str | int, _Value] = {}
    times: dict[str, int] = {}
    depth = at = 0
    while at < len(tokens) - 1:
        token, behind = tokens[at], tokens[at + 1]
        depth += (token.text in _BLOCKS) - (token.text in _ENDS)
        inner = at > 0 and tokens[at - 1].text in {".", ":", "local", ","}
        if token.kind == "word" and behind.text == "=" and not inner:
            times[token.text] = times.get(token.text, 0) + 1 + (depth > 0)
            value, at = _value(tokens, at + 2)
            value.line = token.line
            known[token.text] = value
        else:
            at += 1
    return {name: value for name, value in known.items() if times[str(name)] == 1}


def _value(tokens: list[_Token], at: int) -> tuple[_Value, int]:
    """Return the value that begins at this token, and where the next token is."""
    line = tokens[at].line if at < len(tokens) else 0
    if at < len(tokens) and tokens[at].text == "{":
        return _table(tokens, at)
    return _Value(line), at


def _table(tokens: list[_Token], at: int) -> tuple[_Value, int]:
    table, number = _Value(tokens[at].line), 0
    at += 1
    while at < len(tokens) and tokens[at].text != "}":
        words = [token.text for token in tokens[at : at + 4]]
        key: str | int
        line = tokens[at].line
        if tokens[at].kind == "word" and words[1:2] == ["="]:
            key, at = words[0], at + 2
        elif words[:1] == ["["] and words[2:4] == ["]", "="]:
            key, at = words[1].strip("\"'"), at + 4
        else:
            number += 1
            key = number
        value, at = _value(tokens, at)
        # What is behind a table, as in ``{ … }[1]``, makes another value of it.
        end = _end(tokens, at)
        table.inside[key] = value if value.inside and end == at else _Value(line)
        at = end + (end < len(tokens) and tokens[end].text in {",", ";"})
    return table, at + 1


def _end(tokens: list[_Token], at: int) -> int:
    """Return where the expression ends: at a comma, or at the end of its table."""
    depth = blocks = 0
    while at < len(tokens):
        text = tokens[at].text
        if depth == 0 and blocks == 0 and text in {",", ";", "}"}:
            break
        depth += (text in _OPEN) - (text in _CLOSE)
        blocks += (text in _BLOCKS) - (text in _ENDS)
        at += 1
    return at
