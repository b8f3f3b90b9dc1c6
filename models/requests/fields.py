"""What the readers of all APIs share: JSON's words for types, and texts in objects. Pure."""

from __future__ import annotations

from typing import Any

from utils.errors import BadRequest

Json = dict[str, Any]

_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def named(value: Any) -> str:  # noqa: ANN401 - decoded JSON
    """Return JSON's word for the type of a value; never the value, which may be private."""
    return "an empty array" if value == [] else _NAMES[type(value)]


def string_of(fields: Json, name: str, where: str) -> str:
    """Return the string ``name`` of an object; BadRequest names ``where`` the object stands."""
    value = fields.get(name)
    if not isinstance(value, str):
        place = f"{where}.{name}"
        raise BadRequest(f"'{place}' must be a string, not {named(value)}.", param=place)
    return value
