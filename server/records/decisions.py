"""``Decisions``: why engines ended and requests were refused, the last of them. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from engine.scheduling.lifecycle import State
from utils.errors import ShuttingDown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.observer import Changed
    from inference.call import CallRecord
    from utils.errors import GatewayError

ROOM = 200
# Refusals of the same kind are counted in one entry, if it is among so many.
_NEAR = 10
_ENDS = (State.DRAINING, State.STOPPING)
_FAILS = (State.BACKOFF, State.FAILED)


class Decisions:
    """The last decisions as plain JSON values; times in seconds since 1970."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=ROOM)

    def newest(self) -> list[dict[str, Any]]:
        """Return the decisions, the newest first."""
        return list(reversed(self._entries))

    def changed(
        self, change: Changed, records: Iterable[CallRecord], now: float
    ) -> dict[str, Any] | None:
        """Keep why an engine ends or failed, and return that; None if there is nothing to say."""
        variant, why = change.variant, change.why
        entry = {"at": round(now, 3), "model": variant.model, "variant": variant.label}
        if change.after in _ENDS and change.before not in _ENDS and why is not None:
            entry |= {
                "kind": why.kind,
                "wanted": why.wanted,
                "request": _id_of(why.request, records),
                "more": why.more,
                "text": why.sentence(variant.label),
            }
        elif change.after in _FAILS and change.before not in _FAILS and change.reason:
            entry |= {"kind": "failed", "text": f"{variant.label} failed: {change.reason}"}
            entry["more"] = change.reason
        else:
            return None
        self._entries.append(entry)
        return entry

    def refused(
        self, request: int, error: GatewayError, records: Iterable[CallRecord], now: float
    ) -> dict[str, Any] | None:
        """Keep why a request gets no engine, and return that; None while the gateway stops."""
        if isinstance(error, ShuttingDown):
            return None
        record = next((each for each in records if each.ticket == request), None)
        entry = {
            "at": round(now, 3),
            "kind": "refused",
            "model": None if record is None else record.model,
            "request": None if record is None else record.id,
            "error": type(error).__name__,
            "text": error.message,
            "times": 1,
        }
        for known in list(self._entries)[-_NEAR:]:
            if all(known.get(name) == entry[name] for name in ("kind", "model", "error")):
                entry["times"] = known["times"] + 1
                self._entries.remove(known)
                break
        self._entries.append(entry)
        return entry


def _id_of(request: int | None, records: Iterable[CallRecord]) -> str | None:
    return next((each.id for each in records if each.ticket == request), None)
