"""engine/llamacpp/prompt_cache/prefix.py: how far two prompts are known to be the same."""

from __future__ import annotations

from bisect import bisect

from builders import chat, completion, message
from hypothesis import given
from hypothesis import strategies as st

from engine.llamacpp.prompt_cache.prefix import (
    STEP,
    Mark,
    common,
    goes_on,
    marks_of,
    shared,
    spared,
)
from models.requests import endpoints
from models.requests.reader import parse


def test_a_conversation_that_goes_on_shares_all_that_was_said() -> None:
    before = marks_of(chat("hello"))
    after = marks_of(chat("hello", message("hi", "assistant"), "and now?"))
    assert shared(after, before) == len("hello") == before[-1].size


def test_a_conversation_goes_on_with_all_of_another_or_not() -> None:
    before, after = marks_of(chat("hello")), marks_of(chat("hello", message("hi", "assistant")))
    assert goes_on(after, before)
    assert goes_on(before, before)
    assert not goes_on(before, after)
    assert not goes_on(before, ())


def test_another_conversation_shares_nothing() -> None:
    assert shared(marks_of(chat("hello")), marks_of(chat("good day"))) == 0


def test_the_same_words_under_other_tools_share_nothing() -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    assert shared(marks_of(chat("hello", tools=tools)), marks_of(chat("hello"))) == 0


def test_a_long_text_is_compared_in_steps() -> None:
    document = "x" * (10 * STEP)
    one = marks_of(chat(f"{document} Who wrote it?"))
    other = marks_of(chat(f"{document} When was it written?"))
    assert shared(one, other) == 10 * STEP


def test_a_completion_that_goes_on_shares_all_of_the_one_before() -> None:
    for begun in ("Once upon a time", "word " * STEP, "x" * STEP):
        before = marks_of(completion(begun))
        ends = [before[-1], *marks_of(completion("Never"))[-1:], Mark(b"elsewhere", 7)]
        after = marks_of(completion(f"{begun}, there was a fox."), ends)
        assert goes_on(after, before)
        assert shared(after, before) == len(begun)
        assert sorted({mark.size for mark in after}) == [mark.size for mark in after]
        assert {7, 5}.isdisjoint(mark.size for mark in after)
        assert marks_of(completion(begun), ends) == before


def test_a_completion_is_compared_in_steps_too() -> None:
    text = "word " * STEP
    assert shared(marks_of(completion(f"{text} one")), marks_of(completion(f"{text} two"))) == (
        5 * STEP
    )
    assert shared(marks_of(completion("short")), marks_of(completion("short"))) == 5


def test_what_is_not_one_text_has_no_marks() -> None:
    assert marks_of(completion(["one", "two"])) == ()
    assert marks_of(completion([1, 2, 3])) == ()
    assert marks_of(parse(endpoints.EMBEDDINGS, b'{"input": "text"}')) == ()
    assert shared((), (Mark(b"a", 1),)) == 0


# Texts of any length, also of several steps, without a choice for each of their characters.
texts = st.builds(
    lambda piece, size: (piece * size)[:size],
    st.text(min_size=1, max_size=20),
    st.integers(0, 3 * STEP),
)


@given(texts, texts, texts)
def test_never_more_is_shared_than_is_the_same(start: str, one: str, other: str) -> None:
    first, second = (start + one).encode(), (start + other).encode()
    lengths = range(min(len(first), len(second)) + 1)
    same = bisect(lengths, False, key=lambda length: first[:length] != second[:length]) - 1
    found = shared(marks_of(completion(start + one)), marks_of(completion(start + other)))
    assert found <= same
    # No more than a step is lost where the texts part; all is found where one is the other.
    assert found > same - 2 * STEP or first == second
    if first == second:
        assert found == len(first)


def test_the_common_beginning_of_two_prompts() -> None:
    one, other = marks_of(chat("a", "b", "c")), marks_of(chat("a", "b", "d"))
    assert common(one, other) == one[:-1]
    assert common(one, ()) == ()
    assert common(one, one) == one


def test_what_is_spared_is_estimated_where_two_prompts_part() -> None:
    one, other = marks_of(chat("aaaa", "bbbb", "cccc")), marks_of(chat("aaaa", "bbbb", "dddd"))
    assert spared(one, one[:-1], 900) == 900
    assert spared(one, other, 900) == 600
    assert spared(one, marks_of(chat("x")), 900) == 0
    assert spared(one, (), 0) == 0


def test_where_an_image_stands_in_a_text_is_not_compared_in_steps() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "x" * (3 * STEP)}
    marks = marks_of(chat(message([picture, text])))
    assert [mark.size for mark in marks] == [0, 3 * STEP]
    assert shared(marks, marks_of(chat("x" * (3 * STEP)))) == 0
