"""What is changed in a request before it is read any further and sent on. Pure.

The body that the engine gets is the client's own, byte for byte, unless something in it
really changes.
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
# A pattern takes its time with a text that is megabytes long.
_LONGEST = 64
_MISSING = object()


def shape(request: Json, model: ModelSpec, asked: str | None) -> bool:
    """``request`` is as the model's configuration wants it; whether that changed anything.

    First ``strip_params``, then ``set_params``, then the parameters of the alias that the
    client asked for, which so have the last word.
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
    """Whether ``keep_alive`` was there, which it is no longer, and its seconds.

    As Ollama reads it: seconds as a number, or a text such as ``"5m"``; 0 unloads after the
    answer, and a negative value, here infinity, never does. None sets nothing.
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
        # In JSON 1, 1.0 and true are different things.
        if type(before) is not type(value) or before != value:
            request[name] = value
            changed = True
    return changed
