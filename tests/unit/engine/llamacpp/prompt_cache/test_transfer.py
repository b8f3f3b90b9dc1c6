"""engine/llamacpp/prompt_cache/transfer.py: what an engine keeps beside its slots."""

from __future__ import annotations

from engine.llamacpp.prompt_cache.transfer import RamCache
from tests.unit.engine.llamacpp.prompt_cache.test_index import marks


def spares(cache: RamCache, said: str, tokens: int = 500, held: int = 0) -> int:
    return cache.spares(marks(said), tokens, held)


def after(*displaced: tuple[str, int]) -> RamCache:
    cache = RamCache(able=True)
    for said, tokens in displaced:
        cache.displaced(marks(said), tokens, 0)
    return cache


def test_what_was_displaced_is_found_again() -> None:
    cache = after(("ab", 200), ("xyz", 300))
    assert spares(cache, "abc") == 200
    assert spares(cache, "xyz") == 300
    assert spares(cache, "q") == 0


def test_what_the_slot_has_of_the_prompt_may_be_more() -> None:
    cache = after(("ab", 200))
    assert spares(cache, "abc", held=199) == 200
    assert spares(cache, "abc", held=200) == 0


def test_an_engine_without_a_cache_keeps_nothing() -> None:
    cache = RamCache(able=False)
    cache.displaced(marks("ab"), 200, 0)
    assert spares(cache, "ab") == 0


def test_nobody_looks_there_where_half_of_a_slot_would_stay() -> None:
    cache = after(("ab", 200))
    assert spares(cache, "ab", tokens=100, held=50) == 0
    # As with a slot that is empty.
    assert spares(cache, "ab", tokens=0) == 0


def test_nothing_is_put_there_where_half_of_a_slot_stays() -> None:
    cache = RamCache(able=True)
    cache.displaced(marks("ab"), 200, 100)
    cache.displaced((), 200, 0)
    assert spares(cache, "ab") == 0


def test_of_something_long_a_small_part_is_not_taken() -> None:
    cache = after(("abcde", 500))
    assert spares(cache, "ax") == 0
    assert spares(cache, "abx") == 200


def test_what_went_on_takes_the_place_of_what_it_was() -> None:
    cache = after(("ab", 200), ("abc", 300))
    cache.shown(marks("abc"), 300)
    assert spares(cache, "abc") == 0


def test_what_was_taken_is_in_a_slot_again() -> None:
    cache = after(("ab", 200), ("xy", 300))
    cache.shown(marks("abc"), 150)
    assert spares(cache, "abc") == 0
    assert spares(cache, "xy") == 300
    # Meanwhile another request may have taken it.
    cache.shown(marks("abc"), 150)
    assert spares(cache, "xy") == 300


def test_an_engine_that_forgot_is_known_to_have_no_more_room() -> None:
    cache = after(("a", 100), ("b", 200), ("c", 300))
    cache.shown(marks("b"), 20)
    assert [spares(cache, said) for said in "abc"] == [0, 0, 300]
    cache.displaced(marks("d"), 199, 0)
    assert [spares(cache, said) for said in "cd"] == [300, 199]
    cache.displaced(marks("e"), 1, 0)
    assert [spares(cache, said) for said in "cde"] == [0, 199, 1]


def test_an_engine_that_forgets_at_once_is_not_counted_on() -> None:
    cache = after(("a", 100))
    cache.shown(marks("a"), 0)
    cache.displaced(marks("a"), 100, 0)
    assert spares(cache, "a") == 0


def test_only_the_latest_are_known() -> None:
    cache = after(*((chr(1000 + number), 10) for number in range(257)))
    assert spares(cache, chr(1000)) == 0
    assert spares(cache, chr(1001)) == 10
