"""server/codecs/characters.py: characters that were cut in two are joined."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.codecs.characters import Joiner, loads


def joined(*pieces: str) -> str:
    joiner = Joiner()
    return "".join([*map(joiner.feed, pieces), joiner.rest()])


@given(text=st.text(), cuts=st.sets(st.integers(0, 80)))
def test_bytes_cut_anywhere_are_the_same_text(text: str, cuts: set[int]) -> None:
    data = text.encode()
    places = sorted({0, len(data), *(cut for cut in cuts if cut <= len(data))})
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert joined(*(p.decode("utf-8", "surrogateescape") for p in pieces)) == text


@given(text=st.text())
def test_pairs_of_surrogates_cut_in_two_are_the_same_text(text: str) -> None:
    halves = text.encode("utf-16-le", "surrogatepass")
    units = [
        halves[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(halves), 2)
    ]
    assert joined(*units) == text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\ud83d"], "a\ufffd"),
        (["\ud83d", "b"], "\ufffdb"),
        (["\ude09x"], "\ufffdx"),
        (["\udcf0\udc9f", "x"], "\ufffdx"),
        (["x\udcff"], "x\ufffd"),
        (["\udce2\udc82", "\udcac!"], "€!"),
        (["ok", "", "!"], "ok!"),
    ],
)
def test_what_is_no_character_is_replaced(pieces: list[str], text: str) -> None:
    assert joined(*pieces) == text


@given(pieces=st.lists(st.text(st.characters(codec=None)), max_size=6))
def test_any_text_becomes_one_that_can_be_written(pieces: list[str]) -> None:
    joined(*pieces).encode()


def test_json_with_halves_is_read() -> None:
    assert loads(b'{"a": "\\ud83d"}') == {"a": "\ud83d"}
    assert loads(b'{"a": "\xf0\x9f"}') == {"a": "\udcf0\udc9f"}
    with pytest.raises(ValueError):
        loads(b"{")
    assert loads(json.dumps({"a": "😉"}).encode()) == {"a": "😉"}
