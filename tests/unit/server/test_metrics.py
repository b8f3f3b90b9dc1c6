"""server/metrics.py, server/metrics_page.py: what is counted, read as Prometheus reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import variant
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from engine.observer import Changed
from engine.scheduling.engine_table import EngineRecord
from engine.scheduling.lifecycle import State
from server.access_log import AccessRecord
from server.metrics import Metrics, Present

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

V = variant(4096)
BOTH = {"model": V.model, "variant": V.label}


def samples(metrics: Metrics) -> list[Sample]:
    page, kind = metrics.page("text/plain")
    assert kind.startswith("text/plain")
    families = text_string_to_metric_families(page.decode())
    return [sample for family in families for sample in family.samples]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    found = [s.value for s in samples(metrics) if s.name == name and s.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


def ended(metrics: Metrics, path: str = "/v1/chat/completions", **facts: object) -> None:
    record = AccessRecord("POST", path=path, started=0.0, id="id")
    for name, fact in facts.items():
        setattr(record, name, fact)
    metrics.uncounted.append((record, 4.0))


def whole(metrics: Metrics) -> None:
    ended(
        metrics,
        status=200,
        model=V.model,
        variant=V.label,
        prompt=30,
        counted=True,
        completion=7,
        queued=0.2,
        loading=1.0,
        first=1.5,
    )


def test_requests_and_tokens_are_counted() -> None:
    metrics = Metrics()
    whole(metrics)
    whole(metrics)
    assert value(metrics, "llm_gateway_requests_total", **BOTH, status="200") == 2
    assert value(metrics, "llm_gateway_prompt_tokens_total", **BOTH) == 60
    assert value(metrics, "llm_gateway_completion_tokens_total", **BOTH) == 14


def test_times_are_in_buckets() -> None:
    metrics = Metrics()
    whole(metrics)
    name = "llm_gateway_first_token_seconds"
    assert value(metrics, f"{name}_bucket", **BOTH, le="1.0") == 0
    assert value(metrics, f"{name}_bucket", **BOTH, le="2.5") == 1
    assert value(metrics, f"{name}_bucket", **BOTH, le="+Inf") == 1
    assert value(metrics, f"{name}_sum", **BOTH) == 1.5
    assert value(metrics, "llm_gateway_queue_seconds_sum", **BOTH) == 0.2
    assert value(metrics, "llm_gateway_request_duration_seconds_sum", **BOTH) == 4.0
    assert value(metrics, "llm_gateway_request_duration_seconds_count", **BOTH) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.01, 600.0, 601.0])
def test_every_time_is_in_a_bucket(seconds: float) -> None:
    metrics = Metrics()
    ended(metrics, model=V.model, variant=V.label, first=seconds)
    count = value(metrics, "llm_gateway_first_token_seconds_count", **BOTH)
    last = value(metrics, "llm_gateway_first_token_seconds_bucket", **BOTH, le="600.0")
    assert (count, last) == (1, float(seconds <= 600))


def test_what_got_nowhere_has_no_times_and_makes_no_label() -> None:
    metrics = Metrics()
    ended(metrics, status=404)
    ended(metrics, status=404, path="/nowhere")
    assert value(metrics, "llm_gateway_requests_total", model="", variant="", status="404") == 2
    assert value(metrics, "llm_gateway_first_token_seconds_count", model="", variant="") is None


def test_a_stream_that_failed_after_it_began_counts_as_its_failure() -> None:
    metrics = Metrics()
    ended(metrics, status=200, failed=502, model=V.model, variant=V.label, first=1.0)
    assert value(metrics, "llm_gateway_requests_total", **BOTH, status="502") == 1


def test_prompts_without_an_answer_in_tokens_are_counted_too() -> None:
    metrics = Metrics()
    facts: dict[str, Any] = {"model": V.model, "variant": V.label, "first": 1.0}
    ended(metrics, status=200, prompt=30, counted=True, **facts)
    ended(metrics, status=200, prompt=1000, completion=2, **facts)
    assert value(metrics, "llm_gateway_prompt_tokens_total", **BOTH) == 30
    assert value(metrics, "llm_gateway_completion_tokens_total", **BOTH) == 2


def test_an_answer_that_told_no_counts_adds_none() -> None:
    metrics = Metrics()
    ended(metrics, status=200, model=V.model, variant=V.label, prompt=30, first=1.0)
    assert value(metrics, "llm_gateway_prompt_tokens_total", **BOTH) is None


def test_orders_of_operators_are_counted_and_not_timed() -> None:
    metrics = Metrics()
    ended(metrics, path="/admin/load", status=200, model=V.model, variant=V.label, queued=3.0)
    [sample] = [s for s in samples(metrics) if s.labels.get("model") == V.model]
    assert sample.name == "llm_gateway_requests_total"
    assert sample.value == 1


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (State.READY, "ready"),
        (State.BACKOFF, "failed"),
        (State.ABORTING, "failed"),
        (State.STOPPING, "stopped"),
    ],
)
def test_loads_are_counted_by_their_outcome(after: State, outcome: str) -> None:
    metrics = Metrics()
    metrics.changed(Changed(1, V, State.STARTING, after, "", 2.0))
    metrics.changed(Changed(1, V, State.READY, State.STOPPING, "", 2.0))
    assert value(metrics, "llm_gateway_engine_loads_total", **BOTH, outcome=outcome) == 1
    loaded = value(metrics, "llm_gateway_engine_load_seconds_sum", **BOTH)
    assert loaded == (2.0 if after is State.READY else None)


def test_what_is_so_now() -> None:
    metrics = Metrics()
    engine = EngineRecord(V, State.READY, active={1, 2})
    engine.memory = {"gpu0": 1000}
    gone = EngineRecord(variant(8192))
    gone.memory = {"gpu0": 5}
    metrics.present = lambda: Present([engine, gone], 3, 5)
    assert value(metrics, "llm_gateway_queue_length") == 3
    assert value(metrics, "llm_gateway_requests_in_flight") == 5
    assert value(metrics, "llm_gateway_engine_state", **BOTH, state="ready") == 1
    assert value(metrics, "llm_gateway_engine_state", **BOTH, state="stopped") == 0
    assert value(metrics, "llm_gateway_engine_requests", **BOTH) == 2
    assert value(metrics, "llm_gateway_engine_memory_bytes", **BOTH, resource="gpu0") == 1000
    assert len([s for s in samples(metrics) if s.name.endswith("memory_bytes") and s.labels]) == 1


@pytest.mark.parametrize("turned", [True, False])
def test_two_records_of_one_name_are_one_engine_the_living_one(turned: bool) -> None:
    metrics = Metrics()
    records = [EngineRecord(V), EngineRecord(V, State.DRAINING, active={1})]
    metrics.present = lambda: Present(records[::-1] if turned else records, 0, 0)
    assert value(metrics, "llm_gateway_engine_state", **BOTH, state="draining") == 1
    assert value(metrics, "llm_gateway_engine_requests", **BOTH) == 1


def test_two_gateways_in_one_process_do_not_share_counts() -> None:
    one, other = Metrics(), Metrics()
    whole(one)
    assert value(other, "llm_gateway_requests_total", **BOTH, status="200") is None


def test_the_process_is_measured() -> None:
    assert (value(Metrics(), "process_resident_memory_bytes") or 0) > 1_000_000


def test_openmetrics_for_clients_that_accept_it() -> None:
    metrics = Metrics()
    whole(metrics)
    page, kind = metrics.page("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    parse = openmetrics.text_string_to_metric_families
    assert list(parse(page.decode()))  # type: ignore[no-untyped-call]  # the library has no types
