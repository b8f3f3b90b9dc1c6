"""A regular expression as the ``pattern`` of a schema that engines hold a tool's text to. Pure.

Engines turn a pattern into a grammar for the text as it stands in JSON, between quotation marks. So
the result is simpler than what it comes from: it has literals, classes, groups, alternatives and
counts, and matches no character that JSON would escape. Every text that it matches, the expression
matches too. What cannot be written so is refused.
"""

from __future__ import annotations

import re

# What JSON escapes.
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_NOT_ESCAPED = r'"\\\x00-\x1F'
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": " "}
_COUNT = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}")
# These have a meaning outside classes, and inside.
_SPECIAL = frozenset(".^$*+?()[]{}|")
_IN_CLASS = frozenset("]^-[")


class UnknownPatternError(ValueError):
    """The expression has something that no engine here can be held to."""


def pattern_of(expression: str) -> str:
    """Return the pattern for a whole text; raise UnknownPatternError where there is none."""
    try:
        re.compile(expression)
    except re.error as error:
        raise UnknownPatternError(f"it is no regular expression: {error.msg}") from None
    inner = expression.removeprefix("^")
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner = inner[:-1]
    reader = _Reader(inner)
    made = reader.alternatives()
    if reader.left:
        raise UnknownPatternError(f"'{reader.left[:8]}' is not supported")
    return f"^({made})$"


class _Reader:
    """Reads an expression from left to right; ``left`` is what has not been read."""

    def __init__(self, expression: str) -> None:
        self.left = expression

    def alternatives(self) -> str:
        found = [self._sequence()]
        while self._take("|"):
            found.append(self._sequence())
        return "|".join(found)

    def _sequence(self) -> str:
        made = ""
        while self.left and self.left[0] not in "|)":
            made += self._atom()
            if count := _COUNT.match(self.left):
                made += count[0]
                self.left = self.left[count.end() :]
                if self.left[:1] in ("?", "+"):
                    raise UnknownPatternError("lazy and possessive counts are not supported")
        return made

    def _atom(self) -> str:
        if self._take("("):
            if self.left.startswith("?") and not self._take("?:"):
                raise UnknownPatternError(f"'({self.left[:3]}' is not supported")
            made = self.alternatives()
            if not self._take(")"):
                raise UnknownPatternError("a group has no end")
            return f"({made})"
        if self._take("["):
            return self._class()
        if self._take("."):
            return f"[^{_NOT_ESCAPED}]"
        if self._take("\\"):
            return self._escape()
        if self.left[0] in _SPECIAL:
            raise UnknownPatternError(f"'{self.left[0]}' is not supported there")
        return _literal(self._next())

    def _class(self) -> str:
        negated = self._take("^")
        made = ""
        while not self._take("]"):
            if not self.left:
                raise UnknownPatternError("a class has no end")
            if self._take("\\"):
                char = self._next()
                made += _CLASSES.get(char) or _in_class(_plain(char))
            elif self.left[0] == "-":
                made += self._next()
            else:
                made += _in_class(_unescaped(self._next()))
        return f"[^{made}{_NOT_ESCAPED}]" if negated else f"[{made}]"

    def _escape(self) -> str:
        char = self._next()
        return f"[{_CLASSES[char]}]" if char in _CLASSES else _literal(_plain(char))

    def _next(self) -> str:
        char, self.left = self.left[:1], self.left[1:]
        return char

    def _take(self, wanted: str) -> bool:
        found = self.left.startswith(wanted)
        if found:
            self.left = self.left[len(wanted) :]
        return found


def _plain(char: str) -> str:
    """Return the character that stands for itself behind a backslash."""
    if not char or char.isalnum():
        raise UnknownPatternError(f"'\\{char}' is not supported")
    return _unescaped(char)


def _unescaped(char: str) -> str:
    if _ESCAPED.match(char):
        raise UnknownPatternError("quotation marks, backslashes and line ends are not supported")
    return char


def _literal(char: str) -> str:
    _unescaped(char)
    return f"\\{char}" if char in _SPECIAL else char


def _in_class(char: str) -> str:
    return f"\\{char}" if char in _IN_CLASS else char
