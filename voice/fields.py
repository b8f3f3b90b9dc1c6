"""Read the fields of a JSON object that a client has sent, with faults that name them. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fields:
    """An object; ``path`` is its place in the request. Fields that nobody reads are ignored.

    Each method raises BadRequest if the field has another type. A field that is null is as one
    that is not there.
    """

    def __init__(self, value: Any, path: str = "") -> None:  # noqa: ANN401 - decoded JSON
        if value is None:
            value = {}
        if not isinstance(value, dict):
            what = f"'{path}'" if path else "What was sent"
            raise BadRequest(f"{what} must be an object.", param=path or None)
        self._value: dict[str, Any] = value
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    def has(self, name: str) -> bool:
        """Return whether there is a field of this name, even if it is null."""
        return name in self._value

    @property
    def whole(self) -> dict[str, Any]:
        """The object itself."""
        return self._value

    def at(self, name: str) -> Fields:
        """Return an object in this one, empty if it is not there."""
        return Fields(self._value.get(name), self._place(name))

    def raw(self, name: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return the value as it is, None if it is not there."""
        return self._value.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        value = self._value.get(name)
        if value is not None and not isinstance(value, str):
            raise self.fault(name, "must be a text")
        return default if value is None else value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._value.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.fault(name, "must be true or false")
        return default if value is None else value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """Return a number from ``least`` to ``most``."""
        value = self._value.get(name)
        if value is None:
            return default
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not math.isfinite(value) or not least <= value <= most:
            raise self.fault(name, f"must be a number from {least:g} to {most:g}")
        return float(value)

    def count(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number from ``least`` to ``most``."""
        value = self.number(name, default, least, most)
        if value != int(value):
            raise self.fault(name, "must be a whole number")
        return int(value)

    def choice(self, name: str, known: Sequence[str], default: str) -> str:
        """Return one of the words ``known``."""
        value = self._value.get(name)
        if value is None:
            return default
        if value not in known:
            raise self.fault(name, f"must be one of {', '.join(known)}")
        return str(value)

    def words(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._value.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.fault(name, "must be a list of texts")
        return tuple(value)

    def objects(self, name: str) -> list[dict[str, Any]]:
        """Return a list of objects."""
        value = self._value.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.fault(name, "must be a list of objects")
        return value

    def fault(self, name: str, why: str) -> BadRequest:
        """Return the error that says why the field cannot be used."""
        place = self._place(name)
        return BadRequest(f"'{place}' {why}.", param=place)

    def _place(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name
