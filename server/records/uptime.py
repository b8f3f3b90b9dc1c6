"""How long the gateway ran on each of the last 90 days, and how long models failed. Pure.

Only the gateway itself can count its time, so it is down on a day for as long as it did not count.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

DAYS = 90
_DAY = 24 * 3600
_EPOCH = date(1970, 1, 1).toordinal()


class Uptime:
    """Seconds for each day, by its number since 1970.

    ``up`` are those in which the gateway ran; for each model ``ready`` are those in which an engine
    of it was ready, and ``failed`` those in which none could be started.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._up: dict[int, float] = {}
        self._models: dict[str, dict[int, dict[str, float]]] = {}

    def count(self, now: float, seconds: float, models: dict[str, str]) -> None:
        """Count the last ``seconds``: the gateway ran, and ``models`` were ready or had failed."""
        if self._since is None:
            self._since = now - seconds
        day = int(now // _DAY)
        self._up[day] = self._up.get(day, 0.0) + seconds
        for model, state in models.items():
            self._of(model, day)[state] += seconds
        if len(self._up) > DAYS:
            self._forget(day)

    def failed(self, now: float, model: str, times: int = 1) -> None:
        """Count failures of engines of the model."""
        self._of(model, int(now // _DAY))["failures"] += times

    def _of(self, model: str, day: int) -> dict[str, float]:
        none = {"ready": 0.0, "failed": 0.0, "failures": 0}
        return self._models.setdefault(model, {}).setdefault(day, none)

    def _forget(self, today: int) -> None:
        oldest = today - DAYS + 1
        self._up = {day: seconds for day, seconds in self._up.items() if day >= oldest}
        kept = {
            model: {day: row for day, row in days.items() if day >= oldest}
            for model, days in self._models.items()
        }
        self._models = {model: days for model, days in kept.items() if days}

    # -- pages and files ---------------------------------------------------------------

    def view(self, now: float, models: Iterable[str]) -> dict[str, Any]:
        """Return the page: each day and all of them together, for the gateway and these models."""
        since = now if self._since is None else self._since
        first, today = int(max(since, now - (DAYS - 1) * _DAY) // _DAY), int(now // _DAY)
        days = range(first, today + 1)
        length = {day: min(now, (day + 1) * _DAY) - max(since, day * _DAY) for day in days}
        return {
            "since": round(since, 3),
            "gateway": {
                "uptime": _share(sum(self._up.get(d, 0.0) for d in days), sum(length.values())),
                "days": [
                    {
                        "day": _date(day),
                        "seconds": round(length[day]),
                        "up_seconds": round(self._up.get(day, 0.0)),
                        "uptime": _share(self._up.get(day, 0.0), length[day]),
                    }
                    for day in days
                ],
            },
            "models": [self._model(model, days) for model in models],
        }

    def _model(self, model: str, days: range) -> dict[str, Any]:
        own = self._models.get(model, {})
        up = sum(self._up.get(day, 0.0) for day in days)
        failed = sum(own[day]["failed"] for day in days if day in own)
        return {
            "model": model,
            # A model that is not loaded is there all the same: the next request loads it.
            "uptime": _share(up - failed, up),
            "days": [
                {
                    "day": _date(day),
                    "ready_seconds": round(own[day]["ready"]),
                    "failed_seconds": round(own[day]["failed"]),
                    "failures": round(own[day]["failures"]),
                }
                for day in days
                if day in own
            ],
        }

    def stored(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "since": self._since,
            "up": {str(day): seconds for day, seconds in self._up.items()},
            "models": {
                model: {str(day): dict(row) for day, row in days.items()}
                for model, days in self._models.items()
            },
        }

    def restore(self, stored: dict[str, Any]) -> None:
        """Take up what an earlier run has stored; raise an exception of any kind if it is none."""
        since = None if stored["since"] is None else float(stored["since"])
        up = {int(day): float(seconds) for day, seconds in stored["up"].items()}
        models = {
            str(model): {
                int(day): {name: float(row[name]) for name in ("ready", "failed", "failures")}
                for day, row in days.items()
            }
            for model, days in stored["models"].items()
        }
        self._since, self._up, self._models = since, up, models


def _date(day: int) -> str:
    return date.fromordinal(_EPOCH + day).isoformat()


def _share(part: float, whole: float) -> float | None:
    return None if whole <= 0 else round(min(1.0, max(0.0, part / whole)), 5)
