"""models/routing/check.py: the faults of routes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import model

from models.catalog import Catalog
from models.routing.check import faults_of_routes, models_of
from utils.config.peers import PeerTable
from utils.config.routes import ClassifyTable, RouteTable, RuleTable

MODELS = (model(name="small", aliases=("s",)), model(name="big"))


def rule(*to: str, **more: Any) -> RuleTable:
    return RuleTable(to=to, **more)


def catalog(**routes: dict[str, Any]) -> Catalog:
    return Catalog(MODELS, routes=[RouteTable(name=name, **more) for name, more in routes.items()])


def ask(default: str = "x", model: str = "small", **labels: tuple[str, ...]) -> ClassifyTable:
    return ClassifyTable(model=model, labels=labels, default=default)


@pytest.mark.parametrize(
    ("routes", "fault"),
    [
        ({"r": {"to": ("small", "none")}}, 'routes.r.to[2]: no model or route has the name "none"'),
        ({"r": {"fallbacks": ("x",)}}, 'routes.r.fallbacks[1]: no model or route has the name "x"'),
        (
            {"r": {"rules": (rule("x"),)}},
            'routes.r.rules[1].to[1]: no model or route has the name "x"',
        ),
        ({"s": {}}, 'routes.s: "s" is already a name of a model'),
        (
            {"r": {"rules": (rule("big", matches="("),)}},
            "routes.r.rules[1].matches: no regular expression of RE2: missing ): (",
        ),
        (
            {"r": {"rules": (rule("big", min_tokens=9, max_tokens=8),)}},
            "routes.r.rules[1].max_tokens: less than min_tokens",
        ),
        (
            {"r": {"to": ("big",), "weights": {"small": 1}}},
            'routes.r.weights: nothing in it leads to "small"',
        ),
        (
            {"r": {"rules": (rule("big", limits={"small": 1}),)}},
            'routes.r.rules[1].limits: "small" is not in its to',
        ),
        (
            {"r": {"classify": ask(default="y", x=("small",))}},
            'routes.r.classify.default: "y" is not one of the labels',
        ),
        (
            {"r": {"classify": ask(model="no", x=("small",))}},
            'routes.r.classify.model: no model has the name "no"',
        ),
        ({"r": {"to": ("r",)}}, "routes.r -> r: these routes lead to each other"),
        (
            {"r": {"rules": (rule("q"),)}, "q": {"classify": ask(x=("p",))}, "p": {"to": ("r",)}},
            "routes.r -> q -> p -> r: these routes lead to each other",
        ),
        (
            {"r": {"classify": ask(model="r", x=("small",))}},
            'routes.r.classify.model: no model has the name "r"',
        ),
        ({"r": {"fallbacks": ("r",)}}, "routes.r -> r: these routes lead to each other"),
        (
            {
                "r": {"rules": (rule("small", profile="night", fallbacks=("q",)),)},
                "q": {"to": ("r",)},
            },
            "routes.r -> q -> r: these routes lead to each other",
        ),
        (
            {"r": {"rules": (rule("q", profile="night"),)}, "q": {"fallbacks": ("r",)}},
            "routes.r -> q -> r: these routes lead to each other",
        ),
    ],
)
def test_faults(routes: dict[str, Any], fault: str) -> None:
    assert faults_of_routes(catalog(**routes)) == [fault]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("big", "none"), 'no model or route has the name "none"'),
        (("s",), "it cannot answer in its own place"),
        (("big", "box/any"), None),
    ],
)
def test_what_answers_in_the_place_of_a_model(names: tuple[str, ...], fault: str | None) -> None:
    small = replace(MODELS[0], fallback=names)
    known = Catalog((small, MODELS[1]), peers=[PeerTable(name="box", url="http://box")])
    assert faults_of_routes(known) == ([f'models: fallback of "small": {fault}'] if fault else [])


def test_an_endpoint_that_is_none() -> None:
    (fault,) = faults_of_routes(catalog(r={"rules": (rule("big", endpoints=("chats",)),)}))
    assert fault.startswith('routes.r.rules[1].endpoints[1]: no endpoint "chats"; known: chat, ')


def test_routes_without_fault_and_what_they_lead_to() -> None:
    good = catalog(
        a={"to": ("b", "s"), "fallbacks": ("auto",)},
        b={"to": ("big",), "classify": ask(x=("c",))},
        c={"rules": (rule("small"),), "to": ("big",)},
        d={"to": ("big",)},
        e={},
    )
    assert faults_of_routes(good) == []
    led = {
        name: [each.name for each in models_of(route, good)] for name, route in good.routes.items()
    }
    both = ["small", "big"]
    assert led == {"a": both, "b": both, "c": both, "d": ["big"], "e": both}


def test_many_routes_are_checked_at_once() -> None:
    names = [f"r{n}" for n in range(60)]
    dense = {name: {"to": (*names[at + 1 :], "big")} for at, name in enumerate(names)}
    assert faults_of_routes(catalog(**dense)) == []
