"""models/copies.py: copies are aliases that never take a name from others."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from builders import model

from models.catalog import Catalog
from models.copies import is_copy, source_of, with_copies, without_copies
from models.downloads.reference import Missing, wanted
from utils.config.peers import PeerTable
from utils.config.routes import RouteTable
from utils.errors import BadRequest, ModelNotFound

COLD = MappingProxyType({"temperature": 0})
A = model(name="a", aliases=("cold", "also"), alias_params={"cold": COLD})
B = model(name="b")
FAR = replace(model(name="box/far"), peer="box")
CATALOG = Catalog(
    [A, B, FAR],
    "b",
    routes=[RouteTable(name="way", to=("a",))],
    peers=[PeerTable(name="box", url="http://box:7777")],
    shared={"far": ("box/far",)},
    missing=[Missing("away", wanted("org/away:Q8_0"))],
)


def test_a_copy_is_an_alias_of_its_model() -> None:
    catalog = with_copies(CATALOG, {"twin": "a"})
    assert catalog.find("twin:latest") is catalog.find("a")
    assert catalog.find("a").aliases == ("cold", "also", "twin")
    assert (catalog.find("a").copies, catalog.find("b").copies) == (("twin",), ())
    assert (catalog.default, catalog.routes, catalog.shared) == (
        "b",
        CATALOG.routes,
        {"far": ("box/far",)},
    )
    assert catalog.missing.keys() == {"away"}
    assert is_copy(catalog, {"twin": "a"}, "twin:latest")
    before = without_copies(catalog)
    assert (before.models, without_copies(before)) == (CATALOG.models, before)


def test_a_copy_of_an_alias_has_its_parameters() -> None:
    copies = {"ice": "cold"}
    found = with_copies(CATALOG, copies).find("ice")
    assert (found.params_of("ice"), found.params_of("also")) == (COLD, {})
    assert without_copies(with_copies(CATALOG, copies)).models == CATALOG.models


@pytest.mark.parametrize("name", ["a", "also", "way", "far", "box/new", "away", "auto"])
def test_a_copy_takes_no_name_from_others(name: str) -> None:
    assert with_copies(CATALOG, {name: "b"}) is CATALOG
    assert not is_copy(CATALOG, {name: "b"}, name)
    with pytest.raises(BadRequest, match="is taken"):
        source_of(CATALOG, {name: "b"}, "b", name)


def test_a_copy_waits_for_its_model() -> None:
    copies = {"twin": "gone"}
    assert with_copies(CATALOG, copies) is CATALOG
    # It can be deleted and replaced.
    assert is_copy(CATALOG, copies, "twin")
    assert source_of(CATALOG, copies, "b", "twin") == ("twin", "b")


def test_what_is_copied() -> None:
    copies = {"twin": "a", "ice": "cold"}
    catalog = with_copies(CATALOG, copies)
    for source, copied in (
        ("a", "a"),
        ("also", "a"),
        ("cold:latest", "cold"),
        ("twin", "a"),
        ("ice:latest", "cold"),
    ):
        assert source_of(catalog, copies, source, "new:latest") == ("new", copied)
    assert source_of(catalog, copies, "b", "twin") == ("twin", "b")
    assert source_of(catalog, copies, "twin", "twin:latest") is None
    with pytest.raises(ModelNotFound):
        source_of(catalog, copies, "gone", "new")
    with pytest.raises(BadRequest, match="of a peer"):
        source_of(catalog, copies, "box/far", "new")
    for name in (" ", ":latest", "two\nlines", "n" * 256):
        with pytest.raises(BadRequest, match="must be a name"):
            source_of(catalog, copies, "a", name)
