"""Whether the conditions of a rule hold for a request. Pure.

Regular expressions are those of RE2, whose time grows only with the length of the text.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from models.routing.asked import Asked
    from utils.config.routes import RuleTable

# The names of parts in rules, and the capability that a request needs for each.
PARTS = {"image": "vision", "audio": "audio"}


class Pattern(Protocol):
    """A compiled regular expression."""

    def search(self, text: str) -> object:
        """Return something if the pattern is found in ``text``, else None."""


class BadPattern(ValueError):
    """The text is no regular expression of RE2; the message says why."""


@cache
def pattern_of(text: str) -> Pattern:
    """Return the compiled expression; raise BadPattern."""
    import re2  # noqa: PLC0415 - only configurations with an expression pay for it

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: Pattern = re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise BadPattern(
            said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        ) from None
    return compiled


def holds(rule: RuleTable, asked: Asked) -> bool:
    """Return whether every condition of the rule holds; the cheap ones are looked at first."""
    return (
        (not rule.endpoints or asked.endpoint in rule.endpoints)
        and all(PARTS[part] in asked.needs for part in rule.parts)
        and (rule.tools is None or rule.tools == ("tools" in asked.needs))
        and asked.tokens >= rule.min_tokens
        and (rule.max_tokens is None or asked.tokens <= rule.max_tokens)
        and (not rule.tiers or asked.tier in rule.tiers)
        and (rule.profile is None or rule.profile == asked.profile)
        and (rule.hours is None or _between(asked.hour, *rule.hours))
        and all(asked.headers.get(name) == value for name, value in rule.headers.items())
        and (rule.matches is None or pattern_of(rule.matches).search(asked.text) is not None)
    )


def _between(hour: int, first: int, end: int) -> bool:
    """Return whether the hour is one from ``first`` until ``end``, perhaps past midnight."""
    if first <= end:
        return first <= hour < end
    return hour >= first or hour < end
