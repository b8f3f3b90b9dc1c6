"""How much of its model an engine has loaded, where it tells or was seen before. Pure.

llama-server tells its own router mode, in lines on its standard output, when it finds
``LLAMA_SERVER_ROUTER_PORT`` in its environment; it then ends as soon as its standard input
does. That is an internal protocol of llama.cpp: it is read where a variant's ``env`` asks
for it, and nothing depends on it.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import orjson

VARIABLE = "LLAMA_SERVER_ROUTER_PORT"
_PREFIX = "cmd_child_to_router:"
_STATE = _PREFIX + "state:"


def expected(load: float, elapsed: float) -> str:
    """How far a load is by the time that the last one took, for a person; "" if it took longer."""
    if elapsed >= load:
        return ""
    return f", {100 * elapsed / load:.0f} %, {ceil(load - elapsed)} s left"


def is_protocol(line: str) -> bool:
    """Whether the line is for llama.cpp's router, and nothing that a person should read."""
    return line.startswith(_PREFIX)


def percent_in(line: str) -> float | None:
    """How much is loaded, from 0 to 100; None when the line does not tell.

    A model may come in stages, such as the text part and the one for images.
    """
    try:
        told: Any = orjson.loads(line.removeprefix(_STATE))
        if told["state"] != "loading":
            return None
        payload = told["payload"]
        stages = payload["stages"]
        done = stages.index(payload["current"]) + payload["value"]
        share = float(done) / len(stages)
        return round(100.0 * min(1.0, max(0.0, share)), 1)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
