"""models/sizing.py: who is asked for a prompt's size, in which order, and what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from builders import BARE, chat, completion, message, model, result_of
from hypothesis import given
from hypothesis import strategies as st

from models.sizing import (
    _TOOL_PROSE,
    CountCache,
    Known,
    PromptSize,
    Sizer,
    Source,
    allowance,
    byte_bound,
)
from models.spec import ModelSpec, TokenizationSpec
from tests.unit.models.requests.test_reader import conversations, messages
from utils.errors import CountUnavailable

if TYPE_CHECKING:
    from models.requests.reader import RequestFacts


SPEC = TokenizationSpec(
    extra_tokens_per_message=10, extra_tokens_per_request=100, extra_tokens_per_image=1000
)
MODEL = model(4096, tokenization=SPEC)


class Engines:
    """A running engine that counts ``tokens``, or none."""

    def __init__(self, tokens: int | None = None) -> None:
        self.tokens = tokens
        self.asked = 0

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        assert model is MODEL
        assert facts.body
        self.asked += 1
        return self.tokens


class Tokenizer:
    """Counts a token a character; fails if told so."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.texts: list[str] = []

    async def count_text(self, model: ModelSpec, text: str) -> int:
        assert model is MODEL
        self.texts.append(text)
        if self.broken:
            raise CountUnavailable("no tokenizer")
        return len(text)


def never(_: PromptSize) -> bool:
    return False


def always(_: PromptSize) -> bool:
    return True


def sized(sizer: Sizer, facts: RequestFacts, clear: Any = never) -> PromptSize:
    guess = sizer.guess(MODEL, facts)
    known = guess.exact or clear(guess)
    return guess if known else result_of(sizer.count(MODEL, facts, guess))


def test_a_clear_bound_asks_nobody() -> None:
    engines, tokenizer = Engines(5), Tokenizer()
    seen = []

    def clear(size: PromptSize) -> bool:
        seen.append(size)
        return True

    size = sized(Sizer(engines, tokenizer), chat("abc"), clear)
    assert size == PromptSize(113, 1, Source.BOUND)
    assert seen == [size]
    assert not size.exact
    assert (engines.asked, tokenizer.texts) == (0, [])


def test_the_running_engine_is_asked_before_the_tokenizer() -> None:
    engines, tokenizer = Engines(5), Tokenizer()
    size = sized(Sizer(engines, tokenizer), chat("abc"))
    assert size == PromptSize(5, 5, Source.ENGINE)
    assert size.exact
    assert tokenizer.texts == []


def test_without_an_engine_the_tokenizer_counts_and_templates_are_allowed_for() -> None:
    tokenizer = Tokenizer()
    size = sized(Sizer(Engines(), tokenizer), chat("abcdefgh", "ijkl"))
    assert tokenizer.texts == ["\nabcdefgh\nijkl"]
    assert size == PromptSize(14 + 120, 14 - 2 * 3, Source.TOKENIZER)


def test_when_all_are_silent_the_bound_stands() -> None:
    size = sized(Sizer(Engines(), Tokenizer(broken=True)), chat("abc"))
    assert size == PromptSize(113, 1, Source.BOUND)


def test_a_small_prompt_has_one_token_at_least() -> None:
    assert sized(Sizer(Engines(), Tokenizer()), chat("a")).at_least == 1


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ([message("a" * 500, name="Bo")], {}),
        (["a" * 500], {"tools": [{"name": "look"}]}),
    ],
)
def test_what_a_template_may_leave_out_is_not_certain(
    said: list[Any], fields: dict[str, Any]
) -> None:
    size = sized(Sizer(Engines(), Tokenizer()), chat(*said, **fields))
    assert size.at_least == 1
    assert size.tokens > 600


def test_images_are_allowed_for() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:AAAA"}}
    bare = sized(Sizer(Engines(), Tokenizer()), chat(message([])))
    size = sized(Sizer(Engines(), Tokenizer()), chat(message([image, image])))
    assert size.tokens == bare.tokens + 2000


def test_the_engine_s_count_is_remembered() -> None:
    engines, tokenizer = Engines(5), Tokenizer()
    sizer = Sizer(engines, tokenizer)
    sized(sizer, chat("abc"))
    assert sized(sizer, chat("abc")) == PromptSize(5, 5, Source.CACHE)
    assert engines.asked == 1
    # One more message of three bytes, and what opened the answer is printed anew.
    assert sized(sizer, chat("abc", "def"), always) == PromptSize(5 + 3 + 20, 1, Source.BOUND)


def test_what_an_engine_reported_is_remembered_for_the_next_turn() -> None:
    sizer = Sizer(Engines(), Tokenizer())
    sizer.learn(MODEL, chat("abc"), 7)
    assert sized(sizer, chat("abc")) == PromptSize(7, 7, Source.CACHE)
    assert sized(sizer, chat("abc", "def"), always).tokens == 7 + 3 + 20


def test_the_tokenizer_counts_only_what_is_new() -> None:
    tokenizer = Tokenizer()
    sizer = Sizer(Engines(), tokenizer)
    first = sized(sizer, chat("abc"))
    second = sized(sizer, chat("abc", "defg"))
    again = sized(sizer, chat("abc", "defg"))
    assert tokenizer.texts == ["\nabc", "defg"]
    assert first.tokens == 4 + 110
    assert second.tokens == 8 + 120
    assert again == second


def test_texts_and_whole_prompts_are_not_mixed_up() -> None:
    tokenizer = Tokenizer()
    sizer = Sizer(Engines(), tokenizer)
    sizer.learn(MODEL, chat("abc"), 500)
    assert sized(sizer, chat("abc", "de")) == PromptSize(4 + 3 + 120, 7 - 6, Source.TOKENIZER)
    assert tokenizer.texts == ["\nabc\nde"]


@pytest.mark.parametrize(
    ("prompt", "texts", "tokens"),
    [
        ("Once", ["Once"], 4),
        (["a", "abc"], ["a", "abc"], 3),
        ([1, 2, 3, 4], [], 4),
        (["ab", [1, 2, 3]], ["ab"], 3),
    ],
)
def test_a_completion_is_as_long_as_its_longest_prompt(
    prompt: Any, texts: list[str], tokens: int
) -> None:
    tokenizer = Tokenizer()
    size = sized(Sizer(Engines(), tokenizer), completion(prompt))
    assert tokenizer.texts == texts
    assert size == PromptSize(tokens + 100, tokens, Source.TOKENIZER)


def test_an_empty_prompt_has_a_size_too() -> None:
    assert sized(Sizer(Engines(), Tokenizer()), completion([[]])).tokens == 100
    assert sized(Sizer(Engines(), Tokenizer()), completion("")).tokens == 100
    assert sized(Sizer(Engines(), Tokenizer()), chat("")).tokens >= 110


@given(conversations, conversations)
def test_a_growing_conversation_is_sized_no_lower_than_at_once(
    said: list[Any], more: list[Any]
) -> None:
    grown = Sizer(Engines(), Tokenizer())
    sized(grown, chat(*said))
    fresh = Sizer(Engines(), Tokenizer())
    one, other = (sized(sizer, chat(*said, *more)) for sizer in (grown, fresh))
    # A separator a turn at most is counted on neither side.
    assert abs(one.tokens - other.tokens) <= 1
    assert other.tokens >= other.at_least


def test_what_is_forgotten_is_counted_again_and_nothing_else() -> None:
    engines = Engines(5)
    sizer = Sizer(engines, Tokenizer())
    sized(sizer, chat("abc"))
    sizer.forget({"another"})
    assert sized(sizer, chat("abc")).source is Source.CACHE
    sizer.forget({MODEL.name})
    assert sized(sizer, chat("abc")).source is Source.ENGINE
    assert engines.asked == 2


def test_texts_are_forgotten_too() -> None:
    tokenizer = Tokenizer()
    sizer = Sizer(Engines(), tokenizer)
    sized(sizer, chat("abc"))
    sizer.forget({MODEL.name})
    sized(sizer, chat("abc", "de"))
    assert tokenizer.texts == ["\nabc", "\nabc\nde"]


def test_a_count_during_which_all_was_forgotten_is_good_for_its_own_request_only() -> None:
    class Slow(Engines):
        async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
            sizer.forget({model.name})
            return await super().count(model, facts)

    class SlowTokenizer(Tokenizer):
        async def count_text(self, model: ModelSpec, text: str) -> int:
            sizer.forget({model.name})
            return await super().count_text(model, text)

    engines = Slow(5)
    sizer = Sizer(engines, Tokenizer())
    assert sized(sizer, chat("abc")) == PromptSize(5, 5, Source.ENGINE)
    assert sized(sizer, chat("abc")) == PromptSize(5, 5, Source.ENGINE)
    assert engines.asked == 2
    tokenizer = SlowTokenizer()
    sizer = Sizer(Engines(), tokenizer)
    sized(sizer, chat("abc"))
    sized(sizer, chat("abc"))
    assert tokenizer.texts == ["\nabc", "\nabc"]


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


@given(
    st.lists(st.tuples(conversations, st.integers(1, 1000)), max_size=8),
    conversations,
    st.integers(0, 8),
)
def test_what_is_known_was_learnt_of_that_very_beginning(
    learnt: list[tuple[list[Any], int]], asked: list[Any], which: int
) -> None:
    if which < len(learnt):
        asked = [*learnt[which][0], *asked]
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
