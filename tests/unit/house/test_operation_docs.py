"""docs/operation.md names every admin path, event and metric, and no metric that there is not."""

from __future__ import annotations

import re

import pytest
from builders import variant
from paths import ROOT
from route_table import named_routes

from engine.scheduling.engine_table import EngineRecord
from server.metrics import Metrics, Present
from server.metrics_page import MetricsPage
from server.routes import is_admin
from utils.errors import RequestCancelled

TEXT = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
ADMIN = [path for path in named_routes().exact if is_admin(path)]
EVENTS = ("snapshot", "engine", "load", "queue", "request", "tick", "why", "lost")


@pytest.mark.parametrize("path", [*ADMIN, "/admin/requests/{id}"])
def test_every_path_is_in_the_table(path: str) -> None:
    table = TEXT.split("| Path |")[1].split("\n\n")[0]
    assert f"{path}`" in table
    assert is_admin(path)


def test_every_event_is_in_the_table() -> None:
    table = TEXT.split("| Event |")[1].split("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == EVENTS
    source = (ROOT / "server" / "telemetry.py").read_text(encoding="utf-8")
    told = set(re.findall(r"_tell\(\s*\"(\w+)\"", source))
    assert told == set(EVENTS) - {"snapshot", "lost"}


def test_every_metric_is_in_the_table() -> None:
    metrics = Metrics()
    metrics.present = lambda: Present([EngineRecord(variant())], 0, 0)
    # As they are written in the page, counters with their ending.
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in MetricsPage(metrics).collect()
    }
    table = TEXT.split("| Metric |")[1]
    written = set(re.findall(r"`((?:llm_gateway|…)_\w+)`", table))
    assert {name.replace("…", "llm_gateway") for name in written} == names


def test_what_a_cancelled_client_reads_is_quoted_as_it_is() -> None:
    handed = (ROOT / "inference" / "in_flight.py").read_text(encoding="utf-8")
    quoted = "An operator cancelled this request."
    assert quoted in TEXT
    assert f'{RequestCancelled.__name__}("{quoted}")' in handed
