"""``Telemetry``: counts events in the gateway, keeps its log, and publishes both."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from itertools import count
from typing import TYPE_CHECKING, Any

import orjson

from engine.observer import Changed, Observer
from engine.scheduling.lifecycle import State
from server.access_log import AccessLog
from server.metrics import Metrics
from server.records.decisions import Decisions
from server.records.row import row_of
from utils.feed import Feed
from utils.logger import LogBook, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.scheduling.waits import Wait
    from inference.call import CallRecord
    from inference.in_flight import Ongoing, RequestRegistry
    from models.spec import VariantSpec
    from server.access_log import AccessRecord
    from utils.errors import GatewayError


# More than end until the recorder has read its files.
_UNTAKEN = 20_000
# So many reasons of a request are kept: one that is sent again and again has many.
_REASONS = 20
# So many requests that have ended are taken, or counted, together: that costs less than each alone,
# and each holds some kilobytes until then.
_TOGETHER = 32
# Of so many requests that begin, one each is the time for the log, the counts and the records.
_ROUND = 16


class Telemetry(Observer):
    """Holds the requests in flight, the metrics, the log's last lines, and the feed of events.

    An event is made only if there is a listener.
    """

    def __init__(self, requests: RequestRegistry) -> None:
        self.requests = requests
        self.metrics = Metrics()
        self.log = LogBook()
        self.access = AccessLog()
        self.decisions = Decisions()
        # Requests that have ended, until the recorder takes them; the newest if it does not.
        self.finished: deque[tuple[AccessRecord, float]] = deque(maxlen=_UNTAKEN)
        # Takes them, if there is a recorder that can.
        self.take: Callable[[], None] | None = None
        # The bytes of each event are made once for all listeners.
        self.events: Feed[bytes] = Feed()
        # Called when requests wait: what can be done later is to make room.
        self.on_wait: set[Callable[[], None]] = set()
        self._ids = count(1)
        self._stamp = Stamp()
        # How often engines of a model have failed, until the recorder takes it.
        self.failures: Counter[str] = Counter()
        self._begun = 0
        # What is left to do of requests that have ended, and when in a round: not all at once.
        self._left: dict[int, Callable[[], None]] = {
            0: self.access.flush,
            5: self.metrics.count_up,
            11: self._taken,
        }

    def event(self, kind: str, facts: dict[str, Any]) -> bytes:
        """Return the bytes of an event of this kind for a stream."""
        data = orjson.dumps({"type": kind, "time": round(time.time(), 3), **facts})
        return b"event: %b\nid: %d\ndata: %b\n\n" % (kind.encode(), next(self._ids), data)

    def close(self) -> None:
        """End the streams of all listeners."""
        self.events.close()
        self.log.feed.close()

    # -- engines ---------------------------------------------------------------------

    def changed(self, change: Changed) -> None:
        """Count and publish the new state of an engine."""
        self.metrics.changed(change)
        if change.after is State.BACKOFF:
            self.failures[change.variant.model] += 1
        entry = self.decisions.changed(change, self._records(), time.time())
        self._decided(entry)
        if entry is not None and change.why is not None and change.why.request is not None:
            self._because(change.why.request, entry)
        self._tell(
            "engine",
            model=change.variant.model,
            variant=change.variant.label,
            state=change.after.value,
            before=change.before.value,
            **({"reason": change.reason} if change.reason else {}),
        )

    def waits(self, request: int, wait: Wait) -> None:
        """Keep why a request waits, with the request."""
        self._because(request, {"at": round(time.time(), 3), **wait.view()})

    def _because(self, request: int, entry: dict[str, Any]) -> None:
        for record in self._records():
            if record.ticket == request and len(record.reasons) < _REASONS:
                record.reasons = (*record.reasons, entry)

    def refused(self, request: int, error: GatewayError) -> None:
        """Keep and publish why a request gets no engine."""
        self._decided(self.decisions.refused(request, error, self._records(), time.time()))

    def failed(self, record: AccessRecord, error: GatewayError) -> None:
        """Keep and publish why a request got no answer, unless ``refused`` has."""
        self._decided(self.decisions.failed(record, error, time.time()))

    def _records(self) -> Iterator[CallRecord]:
        return (each.record for each in self.requests)

    def _decided(self, entry: dict[str, Any] | None) -> None:
        if entry is not None:
            self._tell("why", **{name: each for name, each in entry.items() if name != "at"})

    def waiting(self, count: int) -> None:
        """Publish how many requests wait now; work that can be done later makes room for them."""
        if count:
            for make_room in tuple(self.on_wait):
                make_room()
        self._tell("queue", waiting=count)

    def loading(self, variant: VariantSpec, percent: float) -> None:
        """Publish the share of its model that an engine has loaded, from 0 to 100."""
        self._tell("load", model=variant.model, variant=variant.label, percent=percent)

    def said(self, variant: VariantSpec, line: str) -> None:
        """Keep a line that an engine has printed."""
        self.log.add(variant.model, f"{self._stamp(time.time())} {variant.label}  {line}")

    # -- requests --------------------------------------------------------------------

    def began(self, ongoing: Ongoing) -> None:
        """Add a request to those in flight, and publish that it began.

        Part of what ended requests have left is done when the engine has this one: then no client
        waits for it.
        """
        self.requests.add(ongoing)
        self._begun = turn = (self._begun + 1) % _ROUND
        if (left := self._left.get(turn)) is not None:
            asyncio.get_running_loop().call_soon(left)
        if self.events.subscriptions:
            record = ongoing.record
            self._tell("request", id=record.id, phase="began", path=record.path)

    def ended(self, record: AccessRecord, now: float, ongoing: Ongoing | None) -> None:
        """Log, count and publish a request that ended; ``ongoing`` is None if it never began."""
        self.access.write(record, now)
        self.metrics.uncounted.append((record, now))
        if len(self.metrics.uncounted) >= _TOGETHER:
            self.metrics.count_up()
        if ongoing is None:
            return
        self.requests.remove(ongoing)
        self.finished.append((record, now))
        if len(self.finished) >= _TOGETHER:
            self._taken()
        if self.events.subscriptions:
            self._tell("request", phase="ended", **row_of(record, now))

    def _taken(self) -> None:
        if self.take is not None:
            self.take()

    def tick(self, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        """Publish how fast answers come now, and the memory that they take."""
        self._tell("tick", **facts)

    def _tell(self, kind: str, /, **facts: Any) -> None:  # noqa: ANN401 - JSON values
        if self.events.subscriptions:
            self.events.publish(self.event(kind, facts))
