"""``Decisions``: why engines ended and requests were refused, the last of them. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from engine.scheduling.lifecycle import State
from utils import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.observer import Changed
    from inference.call import CallRecord
    from server.access_log import AccessRecord
    from utils.errors import GatewayError

ROOM = 200
# Refusals of the same kind are counted in one entry, if it is among so many.
_NEAR = 10
_ENDS = (State.DRAINING, State.STOPPING)
_FAILS = (State.BACKOFF, State.FAILED)
# So many requests of those that are counted in one entry are named.
_NAMED = 20
# What kind of reason an error is; the first row that has the error counts.
_BECAUSE: tuple[tuple[str, tuple[type[GatewayError], ...]], ...] = (
    ("model", (errors.ModelNotFound, errors.ModelMissing, errors.ModelDownloading)),
    ("model", (errors.ModelUnread, errors.ModelNotLoaded)),
    ("length", (errors.ContextLengthExceeded, errors.RequestTooLarge)),
    ("ability", (errors.NotCapable, errors.UnsupportedSound, errors.VoiceUnavailable)),
    ("limit", (errors.RateLimited, errors.InsufficientQuota)),
    ("rights", (errors.KeyRefused, errors.NotPermitted, errors.NotAuthenticated)),
    ("rights", (errors.HostRefused, errors.OriginRefused, errors.ActionRefused)),
    ("memory", (errors.BodiesTooLarge, errors.StorageFull, errors.EngineOutOfMemory)),
    ("queue", (errors.QueueFull, errors.EngineBusy, errors.TooManyConnections)),
    ("configuration", (errors.ConfigurationChanged,)),
    ("engine", (errors.EngineError,)),
    ("request", (errors.BadRequest,)),
)
# Such requests had an engine, which did not answer them to the end.
_BROKEN = (
    *(errors.EngineUnreachable, errors.EngineUnresponsive, errors.EngineBroke),
    errors.EngineRefused,
)


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
                "short": dict(why.short),
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
        """Keep why a request gets no engine, and return that; None if that is no refusal."""
        record = next((each for each in records if each.ticket == request), None)
        known = (None, None) if record is None else (record.id, record.model)
        return self._refused(error, known, now)

    def failed(
        self, record: AccessRecord, error: GatewayError, now: float
    ) -> dict[str, Any] | None:
        """Keep why a request got no answer, and return that; None if it is kept, or no refusal."""
        if any(record.id in each.get("requests", ()) for each in list(self._entries)[-_NEAR:]):
            return None
        return self._refused(error, (record.id, record.model), now)

    def _refused(
        self, error: GatewayError, about: tuple[str | None, str | None], now: float
    ) -> dict[str, Any] | None:
        because = next((word for word, kinds in _BECAUSE if isinstance(error, kinds)), None)
        if because is None:
            return None
        request, model = about
        entry: dict[str, Any] = {
            "at": round(now, 3),
            "kind": "failed" if isinstance(error, _BROKEN) else "refused",
            "model": model,
            "request": request,
            "requests": [] if request is None else [request],
            "error": type(error).__name__,
            "because": because,
            "text": error.message,
            "times": 1,
        }
        for known in list(self._entries)[-_NEAR:]:
            if all(known.get(name) == entry[name] for name in ("kind", "model", "error")):
                entry["times"] = known["times"] + 1
                entry["requests"] = [*known["requests"], *entry["requests"]][-_NAMED:]
                self._entries.remove(known)
                break
        self._entries.append(entry)
        return entry


def _id_of(request: int | None, records: Iterable[CallRecord]) -> str | None:
    return next((each.id for each in records if each.ticket == request), None)
