"""The page of metrics, in the formats of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from engine.scheduling.lifecycle import State
from models.requests.amount import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client import Metric

    from server.metrics import Histogram, Key, Metrics

_LABELS = ("model", "variant")
_AMOUNTS = {
    Unit.SECONDS: ("sound_seconds", "Seconds of sound that was heard, where they are known."),
    Unit.CHARACTERS: ("speech_characters", "Characters of texts that were spoken."),
}


class MetricsPage(Collector):
    """Shows what is counted beside the values of the moment."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        # Its own registry: two gateways in one process do not share their counts.
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def read(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type, in the format that ``accept`` asks for."""
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; prometheus-client calls this."""
        all_served = self._metrics.served().items()
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
        for unit, (name, text) in _AMOUNTS.items():
            amounts = {key: each.amounts[unit] for key, each in all_served if unit in each.amounts}
            yield _counter(name, text, amounts)
        yield _counter(
            "engine_loads", "Engine starts, by how they went.", self._metrics.loads, "outcome"
        )
        yield _histogram("first_token_seconds", "Until the answer began.", first)
        yield _histogram("request_duration_seconds", "Until the answer ended.", total)
        yield _histogram("queue_seconds", "Spent waiting for a turn.", queue)
        yield _histogram(
            "engine_load_seconds", "From an engine's start to ready.", self._metrics.load
        )
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        records, waiting, in_flight = self._metrics.present()
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
    name: str,
    text: str,
    values: Mapping[tuple[str, str, str], int] | Mapping[Key, float],
    *more: str,
) -> CounterMetricFamily:
    family = CounterMetricFamily(_name(name), text, labels=(*_LABELS, *more))
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, text: str, values: dict[Key, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(_name(name), text, labels=_LABELS)
    for labels, histogram in values.items():
        family.add_metric(labels, histogram.buckets(), histogram.total)
    return family
