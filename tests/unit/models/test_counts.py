"""models/counts.py: sizes that are known, and the bound that needs no tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
from builders import BARE, chat, completion, message
from hypothesis import given
from hypothesis import strategies as st

from models.counts import _TOOL_PROSE, CountCache, Known, allowance, byte_bound
from models.spec import TokenizationSpec
from tests.unit.models.requests.test_reader import conversations, messages

SPEC = TokenizationSpec(
    extra_tokens_per_message=10, extra_tokens_per_request=100, extra_tokens_per_image=1000
)
IMAGE = {"type": "image_url", "image_url": {"url": "data:AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


# -- The cache


def test_nothing_is_known_of_a_request_that_nobody_counted() -> None:
    assert CountCache().known("m", chat("a")) == Known(0, 0)


def test_a_conversation_is_known_by_its_beginning() -> None:
    cache = CountCache()
    cache.learn("m", chat("a", "b"), 20)
    assert cache.known("m", chat("a", "b")) == Known(20, 3)
    assert cache.known("m", chat("a", "b", "c", "d")) == Known(20, 3)
    assert cache.known("m", chat("a")) == Known()
    assert cache.known("m", chat("a", "x", "c")) == Known()


def test_the_longest_known_beginning_counts() -> None:
    cache = CountCache()
    cache.learn("m", chat("a"), 10)
    cache.learn("m", chat("a", "b", "c"), 30)
    assert cache.known("m", chat("a", "b", "c", "d")) == Known(30, 4)
    assert cache.known("m", chat("a", "b", "x")) == Known(10, 2)


def test_the_last_word_on_a_prompt_counts() -> None:
    cache = CountCache()
    cache.learn("m", chat("a"), 10)
    cache.learn("m", chat("a"), 12)
    assert cache.known("m", chat("a")) == Known(12, 2)


def test_models_and_tools_do_not_share_counts() -> None:
    cache = CountCache()
    cache.learn("m", chat("a"), 10)
    assert cache.known("other", chat("a")) == Known()
    assert cache.known("m", chat("a", tools=[{"name": "look"}])) == Known()


def test_an_answer_that_is_to_be_continued_is_no_beginning() -> None:
    cache = CountCache()
    cache.learn("m", chat("a", message("Once", "assistant")), 10)
    assert cache.known("m", chat("a", message("Once", "assistant"))) == Known()
    assert cache.known("m", chat("a", message("Once", "assistant"), "b")) == Known()


def test_completions_are_not_remembered() -> None:
    cache = CountCache()
    cache.learn("m", completion("Once"), 10)
    assert cache.known("m", completion("Once")) == Known()


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    cache = CountCache(kept=2)
    cache.learn("m", chat("a"), 1)
    cache.learn("m", chat("b"), 2)
    assert cache.known("m", chat("a")).tokens == 1
    cache.learn("m", chat("c"), 3)
    assert cache.known("m", chat("b")) == Known()
    assert cache.known("m", chat("a")).tokens == 1
    assert cache.known("m", chat("c")).tokens == 3


@given(st.lists(st.tuples(conversations, st.integers(1, 1000)), max_size=8), conversations)
def test_what_is_known_was_learnt_of_that_very_beginning(
    learnt: list[tuple[list[Any], int]], asked: list[Any]
) -> None:
    cache = CountCache()
    book = {}
    for said, tokens in learnt:
        facts = chat(*said)
        cache.learn("m", facts, tokens)
        if not facts.prefilled:
            book[facts.segments[-1].digest] = tokens
    facts = chat(*asked)
    known = cache.known("m", facts)
    if known.segments:
        assert book[facts.segments[known.segments - 1].digest] == known.tokens
    assert not any(s.digest in book for s in facts.segments[known.segments :])


# -- What templates and media add


@pytest.mark.parametrize(
    ("said", "known", "tokens"),
    [
        (["a"], Known(), 110),
        (["a", "b", "c"], Known(), 130),
        ([message([IMAGE, IMAGE])], Known(), 2110),
        (["a", "b", "c"], Known(50, 2), 10 + 20),
        (["a", "b"], Known(50, 3), 10),
        (["a", message([IMAGE])], Known(50, 2), 10 + 1010),
        ([message([IMAGE]), "b"], Known(50, 2), 10 + 10),
    ],
)
def test_the_allowance_is_for_what_is_not_known(said: list[Any], known: Known, tokens: int) -> None:
    assert allowance(chat(*said), SPEC, known) == tokens


def test_templates_tell_how_to_call_tools_once() -> None:
    facts = chat("a", "b", tools=[{"name": "look"}])
    assert allowance(facts, SPEC, Known()) == 120 + _TOOL_PROSE
    assert allowance(facts, SPEC, Known(50, 2)) == 10 + 10


def test_a_completion_has_the_allowance_of_a_request() -> None:
    assert allowance(completion("Once"), SPEC, Known()) == 100


# -- The bound


@pytest.mark.parametrize(
    ("said", "known", "tokens"),
    [
        (["abc"], Known(), 113),
        (["é", "ab"], Known(), 124),
        (["abc", "de"], Known(50, 2), 72),
        (["abc"], Known(50, 2), 60),
    ],
)
def test_every_byte_may_be_a_token(said: list[Any], known: Known, tokens: int) -> None:
    assert byte_bound(chat(*said), SPEC, known) == tokens


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("", 100),
        ("é", 102),
        (["a", "abcd"], 104),
        ([1, 2, 3], 103),
        (["ab", [1, 2, 3]], 103),
        ([[]], 100),
    ],
)
def test_the_longest_of_several_prompts_counts(prompt: Any, tokens: int) -> None:
    assert byte_bound(completion(prompt), SPEC, Known()) == tokens


def test_tools_count_at_the_size_that_templates_print_at_most() -> None:
    tools = [{"type": "function", "function": {"name": "look", "description": "é" * 50}}]
    plain = byte_bound(chat("a"), SPEC, Known())
    assert byte_bound(chat("a", tools=tools), SPEC, Known()) > plain + 2 * 50


@given(conversations, messages, st.sampled_from([SPEC, BARE, TokenizationSpec()]))
def test_one_message_more_never_lowers_the_bound(
    said: list[Any], one_more: Any, spec: TokenizationSpec
) -> None:
    shorter, longer = chat(*said), chat(*said, one_more)
    before, after = (byte_bound(facts, spec, Known()) for facts in (shorter, longer))
    assert after >= before + spec.extra_tokens_per_message
    assert after >= sum(segment.size for segment in longer.segments)
    # Nor when the beginning is known, whatever it was counted as.
    known = Known(7, len(shorter.segments))
    bounds = [byte_bound(facts, spec, known) for facts in (shorter, longer)]
    assert bounds[1] >= bounds[0] == 7 + spec.extra_tokens_per_message


@given(conversations, st.integers(0, 5))
def test_a_longer_known_beginning_replaces_bytes_by_its_tokens(
    said: list[Any], covered: int
) -> None:
    facts = chat(*said)
    known = Known(0, min(covered, len(facts.segments)))
    rest = sum(segment.size for segment in facts.segments[known.segments :])
    assert byte_bound(facts, BARE, known) == rest


def test_sounds_and_images_are_taken_for_what_is_configured() -> None:
    spec = TokenizationSpec(
        extra_tokens_per_message=0,
        extra_tokens_per_request=0,
        extra_tokens_per_image=100,
        extra_tokens_per_audio=7000,
    )
    assert allowance(chat(message([IMAGE, SOUND, IMAGE])), spec, Known()) == 7200
    assert allowance(chat(message([SOUND])), spec, Known()) == 7000
    assert byte_bound(chat(message([SOUND, {"type": "text", "text": "ab"}])), spec, Known()) >= 7002
