"""server/admin/offline_route.py: a route is tried where no gateway runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import model

from app import engine_types
from models.catalog import Catalog
from server.admin.offline_route import decided_offline
from server.configuration import Configuration
from utils.config.routes import ClassifyTable, RouteTable, RuleTable
from utils.config.settings import ServerSettings
from utils.errors import BadRequest, ModelNotFound

ROUTES = (
    RouteTable(
        name="r",
        rules=(RuleTable(to=("b",), hours=(3, 4)), RuleTable(to=("b",), profile="night")),
        to=("a", "b"),
        pick="warm",
    ),
    RouteTable(name="q", classify=ClassifyTable(model="a", labels={"x": ("b",)}, default="x")),
)


def tried(name: str, profile: str = "", **more: Any) -> tuple[str, list[str], str]:
    catalog = Catalog([model(name="a"), model(name="b")], routes=ROUTES)
    configuration = Configuration.of(ServerSettings(), catalog, engine_types())
    request = {"model": name, "messages": [{"role": "user", "content": "Hi"}]}
    order = {"request": request, "hour": 12, **more}
    told = decided_offline(json.dumps(order).encode(), configuration, profile)
    return told["model"], told["then"], told["reason"]


def test_it_is_decided_as_if_nothing_ran() -> None:
    assert tried("r") == ("a", ["b"], "rule=none, pick=warm")
    assert tried("r", hour=3) == ("b", [], "rule=1, pick=first")
    assert tried("r", profile="night") == ("b", [], "rule=2, pick=first")
    assert tried("b") == ("b", [], "it names this model")


def test_no_small_model_is_asked() -> None:
    assert tried("q") == ("b", [], "label=x, pick=first")


def test_faults_are_those_of_a_request() -> None:
    with pytest.raises(ModelNotFound):
        tried("none")
    with pytest.raises(BadRequest, match="no endpoint"):
        tried("r", path="/nowhere")
