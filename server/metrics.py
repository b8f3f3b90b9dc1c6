"""The counts behind the gateway's metrics.

To count is to add to plain numbers; they become metrics only when the page is read, see
server/metrics_page.py. Labels come from the configuration alone, so that a client cannot make new
ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.observer import Changed
    from engine.scheduling.engine_table import EngineRecord
    from models.requests.amount import Unit
    from server.access_log import AccessRecord
    from server.metrics_page import MetricsPage

# Seconds: from the first token of a cached prompt to the load of a large model from a slow disk.
_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OUTCOMES = {State.READY: "ready", State.BACKOFF: "failed", State.ABORTING: "failed"}
_ADMIN = "/admin/"

Key = tuple[str, str]


class Histogram:
    """Counts observations by bucket; the last bucket has no bound."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count an observation."""
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def seen(self) -> bool:
        """Whether anything was observed."""
        return any(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return each bound, and how many observations are not above it."""
        below, buckets = 0, []
        for bound, number in zip((*_BOUNDS, float("inf")), self.counts, strict=True):
            below += number
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), float(below)))
        return buckets


class Served:
    """What was counted of the requests that one variant has ended."""

    __slots__ = ("amounts", "completion", "first", "prompt", "queue", "statuses", "total")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.amounts: defaultdict[Unit, float] = defaultdict(float)
        self.queue, self.first, self.total = Histogram(), Histogram(), Histogram()
        # None as long as none is counted.
        self.prompt: int | None = None
        self.completion: int | None = None


class Present(NamedTuple):
    """Values of this moment, which are read and not counted."""

    records: Collection[EngineRecord]
    waiting: int
    in_flight: int


class Metrics:
    """Counts requests and loads.

    ``present`` tells the values of the moment, each time the page is read. ``loads`` are the starts
    of engines by model, variant and outcome, ``load`` the seconds until they were ready.
    ``uncounted`` are requests and the times of their ends, which the next ``count_up`` counts.
    """

    def __init__(self) -> None:
        self.present: Callable[[], Present] = lambda: Present((), 0, 0)
        self.loads: Counter[tuple[str, str, str]] = Counter()
        self.load: defaultdict[Key, Histogram] = defaultdict(Histogram)
        self.uncounted: list[tuple[AccessRecord, float]] = []
        self._served: defaultdict[Key, Served] = defaultdict(Served)
        self._page: MetricsPage | None = None

    def changed(self, change: Changed) -> None:
        """Count a load that has ended: its engine was starting and is in another state now."""
        if change.before is not State.STARTING:
            return
        variant = change.variant
        outcome = _OUTCOMES.get(change.after, "stopped")
        self.loads[variant.model, variant.label, outcome] += 1
        if change.after is State.READY:
            self.load[variant.model, variant.label].observe(change.load_seconds)

    def served(self) -> Mapping[Key, Served]:
        """Return what was counted so far, by model and variant."""
        self.count_up()
        return self._served

    def count_up(self) -> None:
        """Count the requests that wait for it."""
        uncounted, self.uncounted = self.uncounted, []
        for record, now in uncounted:
            self._count(record, now)

    def _count(self, record: AccessRecord, now: float) -> None:
        served = self._served[record.model or "", record.variant or ""]
        served.statuses[record.failed or record.status] += 1
        # A load by an operator waits in the queue too, but no client waits for it.
        if record.path.startswith(_ADMIN):
            return
        if record.queued is not None:
            served.queue.observe(record.queued)
        if record.first is None:
            return
        served.first.observe(record.first)
        served.total.observe(now - record.started)
        if record.amount is not None:
            served.amounts[record.amount.unit] += record.amount.number
        if record.completion is not None:
            served.completion = (served.completion or 0) + record.completion
        if record.counted:
            served.prompt = (served.prompt or 0) + (record.prompt or 0)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type, in the format that ``accept`` asks for."""
        if self._page is None:
            # It takes a while, and a megabyte: most gateways are never asked.
            from server.metrics_page import MetricsPage  # noqa: PLC0415 - see above

            self._page = MetricsPage(self)
        return self._page.read(accept)
