"""models/routing/peers.py: what peers tell of their models, and the catalog with them."""

from __future__ import annotations

from typing import Any

import pytest
from builders import model

from models.catalog import Catalog
from models.routing.peers import (
    Listing,
    Told,
    name_at,
    read_listing,
    with_load,
    with_peers,
    with_voices,
)
from utils.config.peers import PeerTable
from utils.config.routes import RouteTable
from utils.config.settings import ServerSettings

BOX = PeerTable(name="box", url="http://box:7777")
FAR = PeerTable(name="far", url="http://far:7777", share=False, wake=("wake",))
SETTINGS = ServerSettings()


def page(*entries: dict[str, Any], owner: str = "llm-gateway") -> Any:
    return {"object": "list", "data": [{"owned_by": owner, **entry} for entry in entries]}


def test_what_a_gateway_tells() -> None:
    listing = read_listing(
        page(
            {
                "id": "q",
                "context_length": 4096,
                "capabilities": ["text", "levitation"],
                "state": "ready",
                "free_slots": 2,
                "loadable": False,
                "load_seconds": {"4096": 2.5, "8192": None},
            }
        ),
        BOX,
    )
    told = Told("q", 4096, frozenset({"text"}), True, False, 2, False, 2.5)
    assert listing == Listing((told,), gateway=True)


def test_the_load_of_a_gateway() -> None:
    listing = Listing((Told("q"), Told("r")), gateway=True)
    queue = [{"model": "q"}, {"model": "q"}, {"model": "other"}, {"model": 3}, "x"]
    running = {"engines": [{"model": "q", "active": 2}, {"model": "r"}], "queue": queue}
    found = with_load(listing, running)
    assert [told.busy for told in found.models] == [4, 0]
    assert found.lasting() == listing.lasting()


@pytest.mark.parametrize("given", [None, [], {"queue": 3}, {"engines": {}}, {"queue": [None]}])
def test_what_tells_no_load(given: Any) -> None:
    listing = Listing((Told("q"),), gateway=True)
    assert with_load(listing, given) == listing


def test_the_voices_of_a_gateway() -> None:
    listing = Listing((Told("q"), Told("say", capabilities=frozenset({"speech"}))), gateway=True)
    assert listing.speaks
    assert not Listing((Told("q", capabilities=frozenset({"text"})), Told("r"))).speaks
    voices = [
        {"id": "amy", "model": "say", "language": "en_US"},
        {"id": "bob", "model": "say", "language": None},
        {"id": "eve", "model": "box/other"},
        {"id": 7, "model": "say"},
        "x",
    ]
    found = with_voices(listing, {"voices": voices})
    assert [told.voices for told in found.models] == [(), (("amy", "en_US"), ("bob", ""))]
    # They make the model another one, so that the catalog is made anew.
    assert found.lasting() != listing.lasting()
    pages: list[Any] = [None, [], {"voices": 3}]
    for nothing in pages:
        assert with_voices(listing, nothing) == listing
    made = with_peers(Catalog([model()], peers=[BOX]), SETTINGS, {"box": found})
    assert made.find("box/say").voices == found.models[1].voices


def test_of_others_only_the_names_are_known() -> None:
    found = read_listing(page({"id": "gpt", "context_length": 9}, owner="openai"), BOX)
    assert found == Listing((Told("gpt"),), gateway=False)


def test_what_a_peer_has_from_others_stays_there() -> None:
    entries: list[dict[str, Any]] = [
        {"id": "a"},
        {"id": "b", "peer": "x"},
        {"id": "c", "alias_of": "a"},
        {"id": "r", "models": ["a"]},
        {"id": "bad\n"},
        {"id": 5},
    ]
    assert [each.name for each in read_listing(page(*entries), BOX).models] == ["a"]


def test_only_the_wanted_models() -> None:
    some = PeerTable(name="box", url="http://box", models=("gpt-*", "o1"))
    entries = [{"id": name} for name in ("gpt-5", "o1", "o1-mini")]
    assert [each.name for each in read_listing(page(*entries), some).models] == ["gpt-5", "o1"]


@pytest.mark.parametrize("given", [None, [], {}, {"data": "x"}, "text"])
def test_what_is_no_list(given: Any) -> None:
    with pytest.raises(ValueError, match="no list of models"):
        read_listing(given, BOX)


def test_what_changes_from_moment_to_moment_is_no_other_model() -> None:
    one = Listing((Told("a", free=1, ready=True),))
    assert one.lasting() == Listing((Told("a"),)).lasting()
    assert one.lasting() != Listing((Told("b"),)).lasting()
    assert one.lasting() != Listing((Told("a", context=5),)).lasting()


def test_a_catalog_with_peers() -> None:
    own = (model(name="m", aliases=("alias",)), model(name="n"))
    routes = [RouteTable(name="route")]
    catalog = Catalog(own, "m", (), routes, [BOX, FAR])
    listings = {
        "box": Listing(tuple(Told(name, 512) for name in ("alias", "m", "q", "route")), True),
        "far": Listing((Told("m"), Told("z"))),
        "unknown": Listing((Told("m"),)),
    }
    found = with_peers(catalog, SETTINGS, listings)
    names = ["m", "n", "box/alias", "box/m", "box/q", "box/route", "far/m", "far/z"]
    assert [each.name for each in found.models] == names
    # Far is not shared; names of ours that are no models are ours alone.
    assert found.shared == {"m": ("m", "box/m"), "q": ("box/q",)}
    assert found.default == "m"
    assert {*found.routes} == {"route"}
    assert with_peers(found, SETTINGS, {}).models == own
    assert with_peers(found, SETTINGS, listings).shared == found.shared
    near, far = found.find("box/q"), found.find("far/z")
    assert (name_at(near), near.upstream_model, near.peer) == ("q", "q", "box")
    assert name_at(own[0]) == "m"
    first, last = near.variants[0], far.variants[0]
    assert (first.context, first.url, first.health_path) == (512, "http://box:7777", "/health")
    # Of another server it is not known where it tells of its health, so it is not woken either.
    assert (last.context, last.health_path, last.wake) == (None, None, ())
    assert found.may_have("box/later")
    assert not found.may_have("other/q")


def test_without_peers_nothing_is_made_anew() -> None:
    catalog = Catalog([model()])
    assert with_peers(catalog, SETTINGS, {"box": Listing((Told("q"),))}) is catalog
