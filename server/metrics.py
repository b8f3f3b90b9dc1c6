"""The gateway's metrics, in the formats of Prometheus.

To count is to add to plain numbers; they become metrics only when the page is read. Labels come
from the configuration alone, so that a client cannot make new ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from prometheus_client import Metric

    from engine.observer import Changed
    from engine.scheduling.engine_table import EngineRecord
    from server.access_log import AccessRecord

_LABELS = ("model", "variant")
# Seconds: from the first token of a cached prompt to the load of a large model from a slow disk.
_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_OUTCOMES = {State.READY: "ready", State.BACKOFF: "failed", State.ABORTING: "failed"}
_ADMIN = "/admin/"
_TOGETHER = 32

Key = tuple[str, str]


class _Histogram:
    """Counts observations by bucket; the last bucket has no bound."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def seen(self) -> bool:
        """Whether anything was observed."""
        return any(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        below, buckets = 0, []
        for bound, number in zip((*_BOUNDS, float("inf")), self.counts, strict=True):
            below += number
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), float(below)))
        return buckets


class _Served:
    """What was counted of the requests that one variant has ended."""

    __slots__ = ("completion", "first", "prompt", "queue", "statuses", "total")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.queue, self.first, self.total = _Histogram(), _Histogram(), _Histogram()
        # None as long as none is counted.
        self.prompt: int | None = None
        self.completion: int | None = None


class Present(NamedTuple):
    """Values of this moment, which are read and not counted."""

    records: Collection[EngineRecord]
    waiting: int
    in_flight: int


class Metrics(Collector):
    """Counts requests and loads, and shows the counts beside the values of the moment."""

    def __init__(self) -> None:
        # Its own registry: two gateways in one process do not share their counts.
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)
        self._present: Callable[[], Present] = lambda: Present((), 0, 0)
        self._uncounted: list[tuple[AccessRecord, float]] = []
        self._served: defaultdict[Key, _Served] = defaultdict(_Served)
        self._loads: Counter[tuple[str, str, str]] = Counter()
        self._load: defaultdict[Key, _Histogram] = defaultdict(_Histogram)

    def show(self, present: Callable[[], Present]) -> None:
        """Call ``present`` for the values of the moment each time the page is read."""
        self._present = present

    def changed(self, change: Changed) -> None:
        """Count a load that has ended: its engine was starting and is in another state now."""
        if change.before is not State.STARTING:
            return
        variant = change.variant
        outcome = _OUTCOMES.get(change.after, "stopped")
        self._loads[variant.model, variant.label, outcome] += 1
        if change.after is State.READY:
            self._load[variant.model, variant.label].observe(change.load_seconds)

    def ended(self, record: AccessRecord, now: float) -> None:
        """Count a request that has ended, soon: several together cost less than each alone."""
        self._uncounted.append((record, now))
        if len(self._uncounted) >= _TOGETHER:
            self._count_up()

    def _count_up(self) -> None:
        uncounted, self._uncounted = self._uncounted, []
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
        if record.completion is not None:
            served.completion = (served.completion or 0) + record.completion
        if record.counted:
            served.prompt = (served.prompt or 0) + (record.prompt or 0)

    def page(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type, in the format that ``accept`` asks for."""
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; prometheus-client calls this."""
        self._count_up()
        all_served = self._served.items()
        requests = {
            (*key, str(status)): number
            for key, served in all_served
            for status, number in served.statuses.items()
        }
        prompt = {key: each.prompt for key, each in all_served if each.prompt is not None}
        written = {key: each.completion for key, each in all_served if each.completion is not None}
        first = {key: each.first for key, each in all_served if each.first.seen}
        total = {key: each.total for key, each in all_served if each.total.seen}
        queue = {key: each.queue for key, each in all_served if each.queue.seen}
        yield _counter("requests", "Requests that have ended.", requests, "status")
        yield _counter("prompt_tokens", "Tokens of prompts.", prompt)
        yield _counter("completion_tokens", "Tokens of answers.", written)
        yield _counter("engine_loads", "Engine starts, by how they went.", self._loads, "outcome")
        yield _histogram("first_token_seconds", "Until the answer began.", first)
        yield _histogram("request_duration_seconds", "Until the answer ended.", total)
        yield _histogram("queue_seconds", "Spent waiting for a turn.", queue)
        yield _histogram("engine_load_seconds", "From an engine's start to ready.", self._load)
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        records, waiting, in_flight = self._present()
        yield GaugeMetricFamily(_name("queue_length"), "Requests that wait now.", waiting)
        yield GaugeMetricFamily(_name("requests_in_flight"), "Requests of now.", in_flight)
        states = GaugeMetricFamily(
            _name("engine_state"), "1 for the state that it is in.", labels=(*_LABELS, "state")
        )
        active = GaugeMetricFamily(
            _name("engine_requests"), "Requests that it answers now.", labels=_LABELS
        )
        memory = GaugeMetricFamily(
            _name("engine_memory_bytes"), "As measured.", labels=(*_LABELS, "resource")
        )
        # While an engine of an older configuration ends, two engines may have one name.
        by_label = {record.variant.label: record for record in records}
        by_label |= {record.variant.label: record for record in records if record.state.live}
        for record in by_label.values():
            labels = [record.variant.model, record.variant.label]
            for state in State:
                states.add_metric([*labels, state.value], float(record.state is state))
            active.add_metric(labels, len(record.active))
            for resource, amount in record.memory.items() if record.state.live else ():
                memory.add_metric([*labels, resource], amount)
        yield from (states, active, memory)


def _name(name: str) -> str:
    return f"llm_gateway_{name}"


def _counter(
    name: str, text: str, values: Mapping[tuple[str, str, str], int] | Mapping[Key, int], *more: str
) -> CounterMetricFamily:
    family = CounterMetricFamily(_name(name), text, labels=(*_LABELS, *more))
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, text: str, values: dict[Key, _Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(_name(name), text, labels=_LABELS)
    for labels, histogram in values.items():
        family.add_metric(labels, histogram.buckets(), histogram.total)
    return family
