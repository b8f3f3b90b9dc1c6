"""engine/llamacpp/tokenizer.py: reading the list of ids that llama-tokenize prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.llamacpp.tokenizer import count_ids
from utils.errors import CountUnavailable


@pytest.mark.parametrize(
    ("output", "count"),
    [(b"[]", 0), (b"[ ]\n", 0), (b"[1]", 1), (b"[1, 2, 3]\n", 3), (b"  [15339,1917]\r\n", 2)],
)
def test_the_printed_ids_are_counted(output: bytes, count: int) -> None:
    assert count_ids(output) == count


@given(st.lists(st.integers(0, 200_000)))
def test_any_list_of_ids(ids: list[int]) -> None:
    assert count_ids(f"{ids}\n".encode()) == len(ids)


@pytest.mark.parametrize(
    "output", [b"", b"\n", b"[", b"]", b"1, 2", b"error: no model\n", b"[1, 2", b"1, 2]"]
)
def test_anything_else_is_no_count(output: bytes) -> None:
    with pytest.raises(CountUnavailable, match="no list of ids"):
        count_ids(output)
