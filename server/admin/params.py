"""What an operator orders: the fields of a small JSON object, none of which is ignored. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from utils.errors import BadRequest


class Params:
    """The fields of an order, each of which must be one that is known."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        """A field that must be there."""
        value = self._fields.pop(name, None)
        if not isinstance(value, str) or not value:
            raise BadRequest(f"'{name}' must be a model's name.", param=name)
        return value

    def variant(self) -> int | str | None:
        """Return the context or the name of a variant, or None where the field is left out."""
        value = self._fields.pop("variant", None)
        if value is not None and type(value) is not int and not isinstance(value, str):
            raise BadRequest(
                "'variant' must be a context, such as 8192, or a variant's name.", param="variant"
            )
        return value

    def flag(self, name: str) -> bool:
        """A field that is false when it is left out."""
        value = self._fields.pop(name, False)
        if not isinstance(value, bool):
            raise BadRequest(f"'{name}' must be true or false.", param=name)
        return value

    def end(self) -> None:
        """Nothing is left that would be ignored."""
        if self._fields:
            name = next(iter(self._fields))
            raise BadRequest(f"'{name}' means nothing here.", param=name)


def params_in(body: bytes) -> Params:
    """What the body of an admin request orders; BadRequest when it is no JSON object."""
    try:
        fields = orjson.loads(body or b"{}")
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    if not isinstance(fields, dict):
        raise BadRequest('The body must be an object, such as {"model": "…"}.')
    return Params(fields)
