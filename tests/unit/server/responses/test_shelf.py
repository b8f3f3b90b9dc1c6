"""server/responses/shelf.py: who finds what, and what is forgotten first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.responses.shelf import Limits, Place, Shelf

LIMITS = Limits(size=10, most=3, age=100.0)


def test_only_its_owner_finds_a_document() -> None:
    shelf = Shelf(LIMITS)
    assert shelf.put("a", Place("me", 1, 0.0)) == []
    assert shelf.find("a", "me", 1.0)
    assert not shelf.find("a", "you", 1.0)
    assert not shelf.find("b", "me", 1.0)


def test_what_nobody_used_for_long_is_gone() -> None:
    shelf = Shelf(LIMITS)
    shelf.put("a", Place("me", 1, 0.0))
    assert shelf.find("a", "me", 90.0)
    assert shelf.find("a", "me", 180.0)
    assert not shelf.find("a", "me", 281.0)
    assert shelf.put("b", Place("me", 1, 281.0)) == ["a"]
    assert len(shelf) == 1


def test_the_least_recently_used_goes_first() -> None:
    shelf = Shelf(LIMITS)
    for at, key in enumerate("abc"):
        shelf.put(key, Place("me", 3, float(at)))
    shelf.find("a", "me", 4.0)
    assert shelf.put("d", Place("me", 1, 5.0)) == ["b"]
    assert shelf.put("e", Place("me", 8, 6.0)) == ["c", "a"]
    assert shelf.size == 9
    assert shelf.put("f", Place("me", 11, 7.0)) is None
    assert shelf.size == 9


def test_items_lead_to_the_latest_document() -> None:
    shelf = Shelf(LIMITS)
    shelf.put("a", Place("me", 1, 0.0, ("x",)))
    shelf.put("b", Place("me", 1, 1.0, ("x", "y")))
    assert shelf.holder("x", "me") == shelf.holder("y", "me") == "b"
    assert shelf.holder("x", "you") is None
    shelf.remove("a")
    assert shelf.holder("x", "me") == "b"
    shelf.remove("b")
    shelf.remove("b")
    assert shelf.holder("x", "me") is None


def test_what_was_on_disk_is_sorted_by_its_use() -> None:
    shelf = Shelf(LIMITS)
    found = [("a", Place("me", 4, 30.0)), ("b", Place("me", 4, 10.0)), ("c", Place("me", 4, 20.0))]
    assert shelf.restore(found, 50.0) == ["b"]
    assert shelf.restore([("d", Place("me", 1, -80.0, ("x",)))], 50.0) == []
    assert shelf.restore([], 200.0) == ["a", "c", "d"] or len(shelf) == 0


@given(sizes=st.lists(st.integers(0, 12), max_size=20))
def test_the_limits_hold(sizes: list[int]) -> None:
    shelf = Shelf(LIMITS)
    keys: set[str] = set()
    for at, size in enumerate(sizes):
        key = f"k{at % 5}"
        gone = shelf.put(key, Place("me", size, float(at)))
        if gone is not None:
            keys = (keys | {key}) - set(gone)
        assert shelf.size <= LIMITS.size
        assert len(shelf) == len(keys) <= LIMITS.most
