"""models/routing/decide.py: always an answer or a named refusal, the same each time, no loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import model
from hypothesis import given
from hypothesis import strategies as st
from json_values import Parts, from_bytes

from models.capabilities import Capabilities
from models.catalog import Catalog
from models.routing.asked import Asked
from models.routing.book import RouteBook
from models.routing.decide import Decision, Question, decide
from models.routing.pick import PICKERS, Seen
from models.spec import ModelSpec
from utils.config.peers import PeerTable
from utils.config.routes import ClassifyTable, RouteTable, RuleTable
from utils.errors import NotCapable

ABLE = {
    "plain": "text tools",
    "see": "text vision",
    "all": "text vision audio tools",
    "vectors": "embeddings",
    "hear": "audio",
}
NO_MODEL_OF = "No model of the route 'r' can answer this request"
NEEDS = {"text", "vision", "audio", "tools", "embeddings", "rerank"}
READY, COLD = Seen(ready=True), Seen()


class Shown(dict[str, Seen]):
    def seen(self, name: str) -> Seen:
        return self.get(name, COLD)


def book(
    *routes: RouteTable, default: str | None = None, contexts: dict[str, int] | None = None
) -> RouteBook:
    sizes = contexts or {}
    models = [model(sizes.get(name, 4096), name=name) for name in ABLE]
    able = {
        name: Capabilities(frozenset(can.split()), frozenset(can.split()))
        for name, can in ABLE.items()
    }
    return RouteBook(Catalog(models, default, routes=routes), able)


def asked(needs: str = "text", **more: Any) -> Asked:
    return Asked(endpoint="", needs=frozenset(needs.split()), **more)


def decided(
    known: RouteBook, name: str | None, request: Asked, running: dict[str, Seen] | None = None
) -> Decision:
    found = decide(known, Shown(running or {}), name, request, {})
    assert isinstance(found, Decision)
    return found


@pytest.mark.parametrize(
    ("needs", "models"),
    [
        ("text", ("plain", "see", "all")),
        ("text vision", ("see", "all")),
        ("text tools", ("plain", "all")),
        ("text audio", ("all",)),
        ("embeddings", ("vectors",)),
        ("audio", ("hear", "all")),
        ("", ("vectors", "hear", "plain", "see", "all")),
    ],
)
def test_auto_goes_to_what_can_do_it_and_little_else(needs: str, models: tuple[str, ...]) -> None:
    assert decided(book(), "auto", asked(needs)).models == models


def test_auto_prefers_what_is_loaded_then_the_default() -> None:
    known = book(default="all")
    assert decided(known, "auto", asked()).models[0] == "all"
    assert decided(known, "auto", asked(), {"see": READY}).models[:2] == ("see", "all")
    assert decided(known, "auto", asked(), {"see": Seen(starting=True)}).models[0] == "see"


def test_without_a_name_the_default_model_comes_first_if_it_can() -> None:
    known = book(default="plain")
    assert decided(known, None, asked(), {"see": READY}).models[0] == "plain"
    assert decided(known, None, asked("text vision"), {"all": READY}).models == ("all", "see")


def test_auto_leaves_out_what_is_too_small_unless_all_are() -> None:
    known = book(contexts={"plain": 512, "see": 512})
    assert decided(known, "auto", asked(tokens=1000)).models == ("all",)
    assert decided(known, "auto", asked(tokens=9000)).models == ("plain", "see", "all")


@pytest.mark.parametrize(
    ("has", "auto", "ruled"),
    [
        # Who surely has it is asked, even if another is the first of the route.
        ({"see": True, "plain": False}, ("see",), ("see",)),
        ({"see": False, "plain": False}, ("all",), ("all",)),
        ({"see": False, "plain": False, "all": False}, ("plain", "see", "all"), ("see", "all")),
        ({}, ("plain", "see", "all"), ("see", "all")),
    ],
)
def test_a_model_that_has_the_voice_is_chosen(
    has: dict[str, bool], auto: tuple[str, ...], ruled: tuple[str, ...]
) -> None:
    known = replace(
        book(RouteTable(name="r", to=("see", "all"))),
        has_voice=lambda model, voice: has.get(model.name) if voice == "amy" else None,
    )
    request = asked(voice="amy")
    assert decided(known, "auto", request).models == auto
    assert decided(known, "r", request).models == ruled
    assert decided(known, "r", asked()).models == ("see", "all")


def test_this_machine_comes_before_others_and_what_is_sure_before_what_may_be() -> None:
    known = book()
    far = RouteBook(known.catalog, known.able, frozenset({"plain"}))
    assert decided(far, "auto", asked(), {"plain": READY}).models == ("see", "all", "plain")
    none: frozenset[str] = frozenset()
    maybe = {**known.able, "plain": Capabilities(none, frozenset({"text"}))}
    assert decided(RouteBook(known.catalog, maybe), "auto", asked()).models[-1] == "plain"


@pytest.mark.parametrize(
    ("name", "needs", "message"),
    [
        ("auto", "rerank", "No model can answer this request: it needs rerank. No model has it."),
        (
            "auto",
            "text embeddings",
            "No model can answer this request: it needs text, embeddings. No model has it.",
        ),
        (
            "r",
            "text vision",
            f"{NO_MODEL_OF}: it needs vision. Models that have it: see, all.",
        ),
    ],
)
def test_a_refusal_names_what_is_missing_and_who_has_it(
    name: str, needs: str, message: str
) -> None:
    known = book(RouteTable(name="r", to=("plain",)))
    with pytest.raises(NotCapable) as caught:
        decide(known, Shown(), name, asked(needs), {})
    assert caught.value.message == message


def test_the_first_rule_that_holds_decides_and_the_rest_of_the_route_follows() -> None:
    route = RouteTable(
        name="r",
        rules=(
            RuleTable(to=("see",), parts=frozenset({"image"}), fallbacks=("all",)),
            RuleTable(to=("plain", "all"), pick="warm", min_tokens=100),
        ),
        to=("plain",),
        fallbacks=("see",),
    )
    known = book(route)
    image = decided(known, "r", asked("text vision", tokens=200))
    assert (image.models, image.reason) == (("see", "all"), "rule=1, pick=first")
    assert decided(known, "r", asked(tokens=200), {"all": READY}).models == ("all", "plain")
    plain = decided(known, "r", asked())
    assert (plain.models, plain.reason) == (("plain", "see"), "rule=none, pick=first")
    assert plain.header() == "r -> plain; rule=none, pick=first"
    assert plain.header(["plain"]) == "r -> see; rule=none, pick=first; failed=plain"


def test_routes_lead_to_routes() -> None:
    known = book(
        RouteTable(name="outer", to=("inner", "plain"), pick="warm"),
        RouteTable(name="inner", to=("see", "all")),
        RouteTable(name="any", fallbacks=("plain",)),
        RouteTable(name="last", to=("vectors",), fallbacks=("auto",)),
    )
    assert decided(known, "outer", asked()).models == ("see", "all", "plain")
    assert decided(known, "outer", asked(), {"plain": READY}).models == ("plain", "see", "all")
    assert decided(known, "any", asked()).models == ("plain", "see", "all")
    assert decided(known, "last", asked()).models == ("plain", "see", "all")


def test_a_shared_name_stands_for_the_models_of_several_machines() -> None:
    before = book(RouteTable(name="r", to=("s", "see")))
    peers = [PeerTable(name="box", url="http://box")]
    routes = before.catalog.routes.values()
    far = ModelSpec("box/s", model().variants, peer="box")
    models = (*before.catalog.models, far)
    catalog = Catalog(models, None, (), routes, peers, {"s": ("plain", "box/s"), "t": ("box/s",)})
    able = {**before.able, "box/s": before.able["plain"]}
    known = RouteBook(catalog, able)
    busy = {"plain": Seen(ready=True), "box/s": Seen(ready=True, free=1)}
    assert decided(known, "s", asked()) == Decision("s", ("plain", "box/s"), "soonest")
    assert decided(known, "s", asked(), busy).models == ("box/s", "plain")
    assert decided(known, "s", asked(stays="plain"), busy).reason == "stays"
    assert decided(known, "r", asked(), busy).models == ("box/s", "plain", "see")
    # It goes to a machine whose model has the voice, or the context, wherever it was before.
    voiced = replace(known, has_voice=lambda model, _: model.peer is not None)
    assert decided(voiced, "s", asked(voice="amy", stays="plain")).models == ("box/s",)
    long = asked(tokens=4000, stays="box/s")
    assert decided(known, "s", long).reason == "stays"
    narrow = ModelSpec("box/s", model(2048).variants, peer="box")
    models = (*before.catalog.models, narrow)
    catalog = Catalog(models, None, (), routes, peers, {"s": ("plain", "box/s")})
    assert decided(RouteBook(catalog, able), "s", long).models == ("plain",)
    # What another gateway has sent stays on this machine.
    assert decided(known, "s", asked(relayed=True), busy).models == ("plain",)
    with pytest.raises(NotCapable):
        decide(known, Shown(), "t", asked(relayed=True), {})


@pytest.mark.parametrize(
    ("fallback", "needs", "models"),
    [
        (("see", "all"), "text", ("plain", "see", "all")),
        # What cannot do it does not answer; the model itself is asked all the same, and refuses.
        (("see", "all"), "audio", ("plain", "all")),
        (("vectors",), "text", ("plain",)),
        # A route that leads back to the model gives the others.
        (("r",), "text", ("plain", "see")),
        (("auto",), "text", ("plain", "see", "all")),
    ],
)
def test_what_is_named_comes_first_and_its_fallbacks_follow(
    fallback: tuple[str, ...], needs: str, models: tuple[str, ...]
) -> None:
    known = book(RouteTable(name="r", to=("plain", "see")))
    changed = [
        replace(m, fallback=fallback if m.name == "plain" else ()) for m in known.catalog.models
    ]
    known = RouteBook(Catalog(changed, routes=known.catalog.routes.values()), known.able)
    found = decided(known, "plain", asked(needs))
    assert (found.route, found.models, found.standby) == ("plain", models, True)
    assert found.header(["plain"]).startswith("plain -> ")


def test_a_small_model_is_asked_only_where_no_rule_holds() -> None:
    classify = ClassifyTable(model="plain", labels={"a": ("see",), "b": ("all",)}, default="a")
    rules = (RuleTable(to=("plain",), tools=True),)
    known = book(RouteTable(name="r", rules=rules, classify=classify))
    assert decided(known, "r", asked("text tools")).models == ("plain",)
    assert decide(known, Shown(), "r", asked(), {}) == Question("r", classify)
    found = decide(known, Shown(), "r", asked(), {"r": "b"})
    assert found == Decision("r", ("all",), "label=b, pick=first")


ROUTES = ("r1", "r2", "r3", "r4")
NAMES = (*ABLE, *ROUTES, "auto", "gone")


def targets(parts: Parts) -> tuple[str, ...]:
    return tuple(parts.several(3, lambda: parts.one_of(NAMES)))


def numbers(parts: Parts) -> dict[str, int]:
    return dict(parts.several(2, lambda: (parts.one_of(NAMES), parts.below(4))))


def tables(parts: Parts) -> dict[str, Any]:
    return {
        "pick": parts.one_of(PICKERS),
        "limits": numbers(parts),
        "weights": numbers(parts),
        "fallbacks": targets(parts),
        "to": targets(parts),
    }


def a_rule(parts: Parts) -> RuleTable:
    return RuleTable(
        tools=parts.one_of((None, False, True)),
        min_tokens=20 * parts.below(251),
        hours=(parts.below(25), parts.below(25)) if parts.below(2) else None,
        **tables(parts),
    )


def a_route(parts: Parts, name: str) -> RouteTable:
    labels = {"x": targets(parts), "y": targets(parts)}
    classify = ClassifyTable(model="plain", labels=labels, default="x")
    return RouteTable(
        name=name,
        rules=tuple(parts.several(2, lambda: a_rule(parts))),
        classify=classify if parts.below(2) else None,
        **tables(parts),
    )


def a_request(parts: Parts) -> Asked:
    return Asked(
        endpoint="",
        needs=frozenset(parts.several(3, lambda: parts.one_of(sorted(NEEDS)))),
        tokens=36 * parts.below(251),
        hour=parts.below(24),
        key=parts.text(4),
    )


def running_models(parts: Parts) -> dict[str, Seen]:
    return {
        model: Seen(
            ready=bool(parts.below(2)),
            starting=bool(parts.below(2)),
            busy=parts.below(6),
            load_seconds=parts.one_of((None, 0.0, 100.0, parts.below(256) / 2.56)),
        )
        for model in sorted(ABLE)
        if parts.below(2)
    }


@given(
    routes=from_bytes(lambda parts: tuple(a_route(parts, name) for name in ROUTES), 240),
    request=from_bytes(a_request, 16),
    running=from_bytes(running_models, 32),
    name=st.none() | st.sampled_from(NAMES),
)
def test_every_decision_ends_the_same_way_each_time(
    routes: tuple[RouteTable, ...], request: Asked, running: dict[str, Seen], name: str | None
) -> None:
    known = book(*routes)
    seen: list[object] = []
    for _ in range(2):
        labels: dict[str, str] = {}
        outcome: object = None
        while outcome is None:
            try:
                found = decide(known, Shown(running), name, request, labels)
            except NotCapable as error:
                outcome = error.message
                break
            if isinstance(found, Question):
                assert found.route not in labels, "the same question twice"
                labels[found.route] = "y"
            else:
                outcome = found
        seen.append(outcome)
    assert seen[0] == seen[1]
    if isinstance(seen[0], Decision):
        able = {model for model, can in ABLE.items() if request.needs <= set(can.split())}
        assert seen[0].models
        assert set(seen[0].models) <= able
        assert len(set(seen[0].models)) == len(seen[0].models)
    elif name in {None, "auto", *ABLE, "gone"}:
        assert not [can for can in ABLE.values() if request.needs <= set(can.split())]
