"""The fields of a request about accounts: texts, money, times, lists. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

from accounts.keys import SCOPES
from accounts.money import to_nano
from accounts.parties import PERIODS
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,250}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LARGEST = 2**31 - 1
_LONGEST_NAME = 120
_MOST_PATTERNS = 100
PRIORITIES = ("low", "normal", "high")
STATUSES = ("pending", "active", "blocked")


class Fields:
    """The fields of a JSON object; each is read once, and ``end`` refuses those that were not."""

    def __init__(self, body: bytes) -> None:
        try:
            values = orjson.loads(body or b"{}")
        except ValueError:
            raise BadRequest("The body is not JSON.") from None
        if not isinstance(values, dict):
            raise BadRequest("The body must be an object.")
        self._values: dict[str, Any] = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def end(self) -> None:
        """Raise BadRequest if a field was not read."""
        if self._values:
            name = next(iter(self._values))
            raise BadRequest(f"'{name}' means nothing here.", param=name)

    def text(self, name: str, longest: int = _LONGEST_NAME) -> str:
        """Return a text that must be there, without line breaks."""
        value = self._values.pop(name, None)
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise _expected(name, f"a text of 1 to {longest} characters")
        if _CONTROL.search(value):
            raise _expected(name, "a text without control characters")
        return value.strip()

    def secret(self, name: str, longest: int = 1000) -> str:
        """Return a text that must be there, as it is."""
        value = self._values.pop(name, None)
        if not isinstance(value, str) or not value or len(value) > longest:
            raise _expected(name, "a text")
        return value

    def mail(self, name: str = "email") -> str:
        """Return an e-mail address in lower case."""
        value = self.text(name, 320).lower()
        if _MAIL.fullmatch(value) is None:
            raise _expected(name, "an e-mail address")
        return value

    def choice(self, name: str, known: Sequence[str]) -> str:
        """Return one of the known words."""
        value = self._values.pop(name, None)
        if value not in known:
            raise _expected(name, f"one of {', '.join(known)}")
        return str(value)

    def positive(self, name: str) -> int:
        """Return a whole number above 0."""
        value = self._values.pop(name, None)
        if type(value) is not int or not 0 < value <= _LARGEST:
            raise _expected(name, "a whole number above 0")
        return value

    def moment(self, name: str) -> int:
        """Return a time, given in seconds since 1970, in milliseconds."""
        value = self._values.pop(name, None)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:  # noqa: PLR2004 - the year 5138
            raise _expected(name, "a time in seconds since 1970")
        return round(value * 1000)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self._values.pop(name, None)
        if not isinstance(value, bool):
            raise _expected(name, "true or false")
        return value

    def money(self, name: str) -> int:
        """Return an amount, given as decimal text or a number, in nano-units."""
        value = self._values.pop(name, None)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _expected(name, 'an amount of money, such as "12.50"')
        try:
            return to_nano(value if isinstance(value, str | float) else str(value))
        except ValueError as error:
            raise BadRequest(f"'{name}': {error}.", param=name) from None

    def patterns(self, name: str) -> str:
        """Return a list of patterns of models as the database keeps it."""
        value = self._values.pop(name, None)
        if (
            not isinstance(value, list)
            or not 0 < len(value) <= _MOST_PATTERNS
            or not all(isinstance(each, str) and 0 < len(each) <= 200 for each in value)  # noqa: PLR2004 - characters
        ):
            raise _expected(name, 'a list of models or patterns, such as ["qwen3-*"]')
        return json.dumps(value)

    def scopes(self, name: str) -> str:
        """Return a list of scopes as the database keeps it."""
        value = self._values.pop(name, None)
        if not isinstance(value, list) or not value or not {*map(str, value)} <= {*SCOPES}:
            raise _expected(name, f"a list of {', '.join(SCOPES)}")
        return " ".join(scope for scope in SCOPES if scope in value)

    def columns(self, readers: Mapping[str, Callable[[Fields, str], Any]]) -> dict[str, Any]:
        """Return the values of the fields that are there; null unsets a column."""
        found: dict[str, Any] = {}
        for name, read in readers.items():
            if name in self._values:
                if self._values[name] is None:
                    found[name] = self._values.pop(name)
                else:
                    found[name] = read(self, name)
        return found


def _period(fields: Fields, name: str) -> str:
    return fields.choice(name, PERIODS)


def _priority(fields: Fields, name: str) -> str:
    return fields.choice(name, PRIORITIES)


# The limits of accounts and keys; null: none, or as the tier has it.
LIMITS: Mapping[str, Callable[[Fields, str], Any]] = {
    "models": Fields.patterns,
    "rpm": Fields.positive,
    "tpm": Fields.positive,
    "concurrency": Fields.positive,
    "budget": Fields.money,
    "budget_period": _period,
}
OF_ACCOUNT: Mapping[str, Callable[[Fields, str], Any]] = {**LIMITS, "priority": _priority}
OF_KEY: Mapping[str, Callable[[Fields, str], Any]] = {
    **LIMITS,
    "max_context": Fields.positive,
    "expires_at": Fields.moment,
}
# These have no null.
FLAGS_OF_KEY = ("may_load", "may_evict")


def key_columns(fields: Fields) -> dict[str, Any]:
    """Return the columns of a new key."""
    found = fields.columns(OF_KEY)
    found |= {name: fields.flag(name) for name in FLAGS_OF_KEY if name in fields}
    if "scopes" in fields:
        found["scopes"] = fields.scopes("scopes")
    return found


def _expected(name: str, what: str) -> BadRequest:
    return BadRequest(f"'{name}' must be {what}.", param=name)
