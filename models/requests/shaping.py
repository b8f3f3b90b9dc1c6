"""Change a request as the model's configuration says, before it is read and sent on. Pure.

If nothing changes, the engine gets the client's body byte for byte.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from models.requests.fields import Json, named
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import ModelSpec

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION = re.compile(rf"[+-]?(?:0|(?:{_PART.pattern})+)")
# The longest text to match: the pattern would take long for a text of megabytes.
_LONGEST = 64
_MISSING = object()


def shape(request: Json, model: ModelSpec, asked: str | None) -> bool:
    """Change ``request`` as the model's configuration says; return whether anything changed.

    First ``strip_params`` apply, then ``set_params``, then the parameters of the alias ``asked``.
    A later step overrides an earlier one.
    """
    changed = False
    for name in model.strip_params:
        changed |= request.pop(name, _MISSING) is not _MISSING
    changed |= _set(request, model.set_params)
    changed |= _set(request, model.alias_params.get(asked or "", {}))
    if model.upstream_model is not None:
        changed |= _set(request, {"model": model.upstream_model})
    return changed


def take_keep_alive(request: Json) -> tuple[bool, float | None]:
    """Remove ``keep_alive`` from the request; return whether it was there, and its seconds.

    It means what it means for Ollama: a number of seconds, or a text such as ``"5m"``; 0 unloads
    the model after the answer, and a negative value never does (infinity here). None sets nothing.
    Raises BadRequest.
    """
    value = request.pop("keep_alive", _MISSING)
    if value is _MISSING:
        return False, None
    return True, None if value is None else _seconds(value)


def _seconds(value: Any) -> float:  # noqa: ANN401 - decoded JSON
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRequest(
            f"'keep_alive' must be a number of seconds or a text such as \"5m\", not"
            f" {named(value)}.",
            param="keep_alive",
        )
    if isinstance(value, str):
        if len(value) > _LONGEST or not _DURATION.fullmatch(value):
            raise BadRequest(
                '\'keep_alive\' must be a duration such as "5m", "1h30m" or "-1m".',
                param="keep_alive",
            )
        total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
        value = -total if value.startswith("-") else total
    return math.inf if value < 0 else float(value)


def _set(request: Json, params: Mapping[str, Any]) -> bool:
    changed = False
    for name, value in params.items():
        before = request.get(name, _MISSING)
        # In JSON 1, 1.0 and true are different; in Python they are equal.
        if type(before) is not type(value) or before != value:
            request[name] = value
            changed = True
    return changed
