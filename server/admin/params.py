"""The body of an admin request: a small JSON object. An unknown field is an error. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from utils.errors import BadRequest


class Params:
    """The fields of an admin request. ``end`` refuses those that no handler has read."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def text(self, name: str, meaning: str) -> str:
        """Return the text of a field; raise BadRequest if it is missing or not a text.

        ``meaning`` tells what the body must name, with an example.
        """
        value = self._fields.pop(name, None)
        if value is None:
            raise BadRequest(f"The body must name {meaning}.", param=name)
        if not isinstance(value, str) or not value:
            raise BadRequest(f"'{name}' must be a text. The body names {meaning}.", param=name)
        return value

    def text_or(self, name: str, default: str) -> str:
        """Return the text of a field, or ``default`` without the field."""
        value = self._fields.pop(name, default)
        if not isinstance(value, str):
            raise BadRequest(f"'{name}' must be a text.", param=name)
        return value

    def table(self, name: str, meaning: str) -> dict[str, Any]:
        """Return the object of a field; raise BadRequest if it is missing or not an object."""
        value = self._fields.pop(name, None)
        if not isinstance(value, dict):
            raise BadRequest(f"The body must hold {meaning}.", param=name)
        return value

    def texts(self, name: str) -> dict[str, str]:
        """Return the object of texts of a field; an empty one without the field."""
        value = self._fields.pop(name, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise BadRequest(f"'{name}' must be an object of texts.", param=name)
        return value

    def number(self, name: str, largest: int) -> int | None:
        """Return the integer from 0 to ``largest`` of a field; None without the field."""
        value = self._fields.pop(name, None)
        if value is not None and (type(value) is not int or not 0 <= value <= largest):
            raise BadRequest(f"'{name}' must be an integer from 0 to {largest}.", param=name)
        return value

    def variant(self) -> int | str | None:
        """Return the context or the name of a variant; None without the field."""
        value = self._fields.pop("variant", None)
        if value is not None and type(value) is not int and not isinstance(value, str):
            raise BadRequest(
                "'variant' must be a context, such as 8192, or a variant's name.", param="variant"
            )
        return value

    def flag(self, name: str) -> bool:
        """Return the boolean of a field; False without the field."""
        value = self._fields.pop(name, False)
        if not isinstance(value, bool):
            raise BadRequest(f"'{name}' must be true or false.", param=name)
        return value

    def end(self) -> None:
        """Raise BadRequest if a field was not read."""
        if self._fields:
            name = next(iter(self._fields))
            raise BadRequest(f"'{name}' means nothing here.", param=name)


def params_in(body: bytes) -> Params:
    """Return the fields of a body; raise BadRequest if it is not a JSON object."""
    try:
        fields = orjson.loads(body or b"{}")
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise BadRequest('The body must be an object, such as {"model": "…"}.')
    return Params(fields)
