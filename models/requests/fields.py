"""Decode a body as JSON, and read the fields that all requests share."""

from __future__ import annotations

from typing import Any

import orjson

from utils.errors import BadRequest

Json = dict[str, Any]

# The engine's limit: a 32-bit integer.
_MOST_OUTPUT = 2**31 - 1
# Real requests are far below this. Each level adds four characters to every indented line.
_DEEPEST = 100

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


def decoded(body: bytes) -> Json:
    """Return ``body`` as a JSON object; raise BadRequest if it is none or nested too deep."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # The message has a position and a cause, never the text itself.
        raise BadRequest(f"The body is not valid JSON: {error.msg} at byte {error.pos}.") from None
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object.")
    brackets = body.count(b"{") + body.count(b"[")
    if brackets > _DEEPEST and _nesting_exceeds(request, _DEEPEST):
        raise BadRequest(f"The body is nested more than {_DEEPEST} levels deep.")
    return request


def model_of(request: Json) -> str | None:
    """Return the name of the requested model, or None. Raises BadRequest."""
    model = request.get("model")
    if model is not None and not isinstance(model, str):
        raise BadRequest(f"'model' must be a string, not {named(model)}.", param="model")
    return model or None


def stream_of(request: Json) -> bool:
    """Return whether the client wants a stream. Raises BadRequest."""
    stream = request.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest(f"'stream' must be true or false, not {named(stream)}.", param="stream")
    return bool(stream)


def output_of(request: Json, fields: tuple[str, ...]) -> int | None:
    """Return the largest token limit in ``fields``, or None if they set none.

    Raises BadRequest.
    """
    limits = []
    for field in fields:
        value = request.get(field)
        if value is None:
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadRequest(f"'{field}' must be an integer, not {named(value)}.", param=field)
        if value > _MOST_OUTPUT:
            raise BadRequest(f"'{field}' must not exceed {_MOST_OUTPUT}.", param=field)
        # Engines read a negative number as "no limit".
        if value >= 0:
            limits.append(value)
    return max(limits, default=None)


def objects(request: Json, field: str) -> list[Json]:
    """Return the non-empty array of objects in ``field``, or raise BadRequest."""
    items = request.get(field)
    if not isinstance(items, list):
        raise BadRequest(f"'{field}' must be an array, not {named(items)}.", param=field)
    if not items:
        raise BadRequest(f"'{field}' must hold at least one message.", param=field)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise BadRequest(
                f"'{field}[{index}]' must be an object, not {named(item)}.",
                param=f"{field}[{index}]",
            )
    return items


def role_of(message: Json, index: int) -> str:
    """Return the role of the message with this index, or raise BadRequest.

    Any text is allowed, as templates print it.
    """
    role = message.get("role")
    if not isinstance(role, str):
        where = f"messages[{index}].role"
        raise BadRequest(f"'{where}' must be a string, not {named(role)}.", param=where)
    return role


def tools_of(request: Json) -> list[Any]:
    """Return the tools that the request offers to the model. Raises BadRequest."""
    tools = request.get("tools")
    if tools is not None and not isinstance(tools, list):
        raise BadRequest(f"'tools' must be an array, not {named(tools)}.", param="tools")
    return tools or []


def _nesting_exceeds(outermost: Json, levels: int) -> bool:
    level: list[Any] = [outermost]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
