"""server/uploads/body.py: what bodies take together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.uploads.body import BodyMemory, Share

FREE = 64 * 1024


def test_the_beginning_of_each_body_is_free() -> None:
    memory = BodyMemory()
    full = Share(memory, 100)
    assert full.take(FREE + 100)
    assert memory.used == 100
    others = [Share(memory, 100) for _ in range(3)]
    assert all(share.take(FREE) for share in others)
    assert not any(share.take(1) for share in others)
    full.release()
    assert memory.used == 0
    assert others[0].take(100)


def test_what_does_not_fit_takes_nothing() -> None:
    memory = BodyMemory()
    share = Share(memory, 10)
    assert not share.take(FREE + 11)
    assert memory.used == 0
    assert share.take(FREE + 10)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3 * FREE) | st.none())))
def test_it_is_never_exceeded_and_given_back_whole(
    steps: list[tuple[int, int | None]],
) -> None:
    memory, limit = BodyMemory(), 4 * FREE
    shares = [Share(memory, limit) for _ in range(3)]
    for number, size in steps:
        if size is None:
            shares[number].release()
        else:
            shares[number].take(size)
        assert 0 <= memory.used <= limit
    for share in shares:
        share.release()
    assert memory.used == 0
