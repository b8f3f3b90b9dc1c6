"""models/selection.py: which variant a request needs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from builders import BARE, chat, model, result_of, variant
from hypothesis import given
from hypothesis import strategies as st

from models.requests import endpoints
from models.requests.reader import parse
from models.selection import ModelSelector, Selection, choose, choose_ahead, choose_larger
from models.sizing import UNCOUNTED, PromptSize, Sizer, Source
from models.spec import ModelSpec, TokenizationSpec, VariantSpec
from utils.errors import ContextLengthExceeded, CountUnavailable

if TYPE_CHECKING:
    from models.requests.reader import RequestFacts

MODEL = model(100, 200, 400, tokenization=BARE)
SMALL, MIDDLE, LARGE = MODEL.variants


class World:
    """Return a counter: a running engine, else a tokenizer, each of which may fail."""

    def __init__(
        self,
        running: VariantSpec | None = None,
        engine: int | None = None,
        tokenizer: int | None = None,
    ) -> None:
        self._running = running
        self._engine = engine
        self._tokenizer = tokenizer

    def running(self, model: ModelSpec) -> VariantSpec | None:
        assert model.name == "m"
        return self._running

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        assert model.name == "m"
        assert facts.segments
        return self._engine

    async def count_text(self, model: ModelSpec, text: str) -> int:
        assert model.name == "m"
        if self._tokenizer is None:
            raise CountUnavailable(f"nobody counts {len(text)} characters")
        return self._tokenizer

    def select(self, facts: RequestFacts, model: ModelSpec = MODEL) -> Selection:
        return result_of(ModelSelector(Sizer(self, self), self).select(model, facts))


def prompt(size: int, output: int | None = 1) -> RequestFacts:
    return chat("x" * size, max_tokens=output)


@pytest.mark.parametrize(
    ("tokens", "output", "chosen"),
    [
        (1, 1, SMALL),
        (99, 1, SMALL),
        (100, 1, MIDDLE),
        (50, 150, MIDDLE),
        (50, 151, LARGE),
        (50, 10_000, LARGE),
        (10_000, 1, LARGE),
    ],
)
def test_the_smallest_variant_that_suffices_else_the_largest(
    tokens: int, output: int, chosen: VariantSpec
) -> None:
    assert choose(MODEL, tokens, output) is chosen


@given(st.sets(st.integers(1, 100), min_size=1), st.integers(0, 120))
def test_no_smaller_variant_would_do(contexts: set[int], tokens: int) -> None:
    enough = [context for context in contexts if context >= tokens]
    spec = model(*sorted(contexts))
    assert choose(spec, tokens, 0).context == min(enough, default=max(contexts))


@pytest.mark.parametrize(
    ("refused", "tokens", "output", "chosen"),
    [
        (SMALL, 120, 20, MIDDLE),
        (SMALL, 120, 100, LARGE),
        (SMALL, 120, 10_000, LARGE),
        (SMALL, 200, 1, LARGE),
        (SMALL, 50, 1, MIDDLE),
        (MIDDLE, 50, 1, LARGE),
        (SMALL, 399, 10, LARGE),
        (SMALL, 400, 1, None),
        (LARGE, 50, 1, None),
    ],
)
def test_after_a_refusal_a_larger_variant_is_tried(
    refused: VariantSpec, tokens: int, output: int, chosen: VariantSpec | None
) -> None:
    assert choose_larger(MODEL, refused, tokens, output) is chosen


@given(
    st.sets(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(0, 80),
    st.integers(1, 80),
    st.data(),
)
def test_tries_after_refusals_come_to_an_end(
    contexts: set[int], tokens: int, output: int, data: st.DataObject
) -> None:
    spec = model(*sorted(contexts))
    tried: VariantSpec | None = data.draw(st.sampled_from(spec.variants))
    before = 0
    while tried is not None:
        assert tried.capacity > before
        before = tried.capacity
        tried = choose_larger(spec, tried, tokens, output)
        assert tried is None or tried.capacity > tokens


@pytest.mark.parametrize(
    ("context", "chosen"), [(0, SMALL), (100, SMALL), (101, MIDDLE), (300, LARGE), (9999, LARGE)]
)
def test_a_wanted_context_chooses_the_smallest_variant_that_has_it(
    context: int, chosen: VariantSpec
) -> None:
    # Its size need not be counted where the context decides.
    world = World(running=SMALL, engine=99)
    selection = world.select(prompt(40, 10)._replace(context=context))
    assert selection.minimum is chosen
    assert selection.size.source is Source.BOUND
    # It is a wish: if the memory is too small for it, a smaller variant will do.
    assert selection.fallbacks == tuple(reversed(MODEL.variants[: MODEL.variants.index(chosen)]))


def test_a_prompt_beyond_the_wanted_context_needs_a_larger_variant() -> None:
    assert World(engine=150).select(prompt(190)._replace(context=50)).minimum is MIDDLE
    with pytest.raises(ContextLengthExceeded):
        World(engine=500).select(prompt(900)._replace(context=50))


def test_a_bound_that_is_clear_decides_without_a_count() -> None:
    selection = World(engine=1).select(prompt(40))
    assert selection == Selection(MODEL, SMALL, PromptSize(40, 1, Source.BOUND), 1)


def test_a_bound_that_is_not_clear_is_counted() -> None:
    selection = World(engine=30).select(prompt(150))
    assert selection == Selection(MODEL, SMALL, PromptSize(30, 30, Source.ENGINE), 1)


def test_where_nobody_counts_the_bound_decides() -> None:
    selection = World().select(prompt(150))
    assert selection.minimum is MIDDLE
    assert selection.size.source is Source.BOUND


def test_one_variant_needs_no_count() -> None:
    selection = World(engine=1).select(prompt(10_000), model(400, tokenization=BARE))
    assert selection.size.source is Source.BOUND


def test_an_engine_that_runs_and_holds_the_bound_makes_a_count_needless() -> None:
    selection = World(running=LARGE, engine=1).select(prompt(150))
    assert selection == Selection(MODEL, MIDDLE, PromptSize(150, 1, Source.BOUND), 1)


@pytest.mark.parametrize("running", [SMALL, MIDDLE])
def test_an_engine_that_runs_and_may_be_too_small_counts(running: VariantSpec) -> None:
    selection = World(running=running, engine=30).select(prompt(250))
    assert selection.minimum is SMALL
    assert selection.size.source is Source.ENGINE


@pytest.mark.parametrize(("asked", "output"), [(50, 50), (0, 1), (-1, 120), (None, 120)], ids=str)
def test_room_for_the_answer_is_what_was_asked_or_the_default(
    asked: int | None, output: int
) -> None:
    tokenization = TokenizationSpec(
        extra_tokens_per_message=0, extra_tokens_per_request=0, default_max_tokens=120
    )
    spec = model(100, 200, 400, tokenization=tokenization)
    selection = World(engine=60).select(prompt(60, asked), spec)
    assert selection.output == output
    assert selection.minimum.capacity == (200 if output + 60 > 100 else 100)


@pytest.mark.parametrize(("asked", "output"), [(300, 40), (20, 20), (None, 40), (0, 1)], ids=str)
@pytest.mark.parametrize("grows", [False, True])
def test_what_grows_need_not_have_all_its_room_at_once(
    asked: int | None, output: int, *, grows: bool
) -> None:
    tokenization = TokenizationSpec(
        extra_tokens_per_message=0, extra_tokens_per_request=0, max_reserved_tokens=40
    )
    spec = model(100, 200, 400, tokenization=tokenization, grow_answers=grows)
    selection = World(engine=60).select(prompt(60, asked), spec)
    if grows:
        assert (selection.output, selection.minimum.capacity) == (output, 100)
    else:
        assert selection.output == {None: 1024, 0: 1}.get(asked, asked)


def test_a_prompt_that_fits_no_variant_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextLengthExceeded) as caught:
        World(engine=400).select(prompt(1000))
    assert (caught.value.prompt_tokens, caught.value.largest) == (400, 400)


def test_a_prompt_that_leaves_room_for_one_token_is_taken() -> None:
    assert World(engine=399).select(prompt(1000)).minimum is LARGE


def test_a_prompt_that_fits_with_an_answer_that_does_not_gets_the_largest() -> None:
    assert World(engine=300).select(prompt(1000, 1000)).minimum is LARGE


@pytest.mark.parametrize(
    ("size", "asked", "minimum", "fallbacks"),
    [
        (60, None, LARGE, (MIDDLE, SMALL)),  # the default reserve can be given up
        (150, None, LARGE, (MIDDLE, SMALL)),  # nobody had to count, so it may be less
        (60, 300, LARGE, ()),  # what the client named cannot
        (60, 100, MIDDLE, ()),
        (150, 1000, LARGE, (MIDDLE, SMALL)),  # no variant has room for it, so none is promised
        (20, 30, SMALL, ()),
    ],
)
def test_smaller_variants_that_would_do_are_named(
    size: int, asked: int | None, minimum: VariantSpec, fallbacks: tuple[VariantSpec, ...]
) -> None:
    tokenization = TokenizationSpec(
        extra_tokens_per_message=0, extra_tokens_per_request=0, default_max_tokens=300
    )
    spec = ModelSpec("m", MODEL.variants, tokenization=tokenization)
    selection = World(engine=size).select(prompt(1000, asked), spec)
    assert (selection.minimum, selection.fallbacks) == (minimum, fallbacks)


def test_a_counted_prompt_needs_a_variant_that_holds_it() -> None:
    tokenization = TokenizationSpec(
        extra_tokens_per_message=0, extra_tokens_per_request=0, default_max_tokens=150
    )
    spec = ModelSpec("m", MODEL.variants, tokenization=tokenization)
    selection = World(engine=120).select(prompt(1000, None), spec)
    assert (selection.minimum, selection.fallbacks) == (LARGE, (MIDDLE,))
    assert World(engine=220).select(prompt(1000, None), spec).fallbacks == ()


def test_an_input_that_would_be_cut_keeps_what_it_may_need() -> None:
    body = {"input_prefix": "x" * 100, "input_suffix": "y" * 50, "prompt": ""}
    infill = parse(endpoints.INFILL, json.dumps(body).encode())
    selection = World(engine=150).select(infill)
    assert (selection.minimum, selection.fallbacks) == (LARGE, (MIDDLE,))


def test_a_prompt_that_may_fit_is_left_to_the_engine_s_judgement() -> None:
    # 403 tokens of text; templates may merge a few, so it is not certain that they exceed 400.
    assert World(tokenizer=403).select(prompt(1000)).minimum is LARGE
    with pytest.raises(ContextLengthExceeded) as caught:
        World(tokenizer=404).select(prompt(1000))
    assert caught.value.prompt_tokens == 400


def test_what_an_engine_reports_sizes_the_next_turn() -> None:
    world = World()
    selector = ModelSelector(Sizer(world, world), world)
    selector.learn(MODEL, prompt(300), 20)
    selection = result_of(selector.select(MODEL, prompt(300)))
    assert selection == Selection(MODEL, SMALL, PromptSize(20, 20, Source.CACHE), 1)


@given(st.integers(1, 600), st.integers(1, 600), st.sampled_from([None, *MODEL.variants]))
def test_the_choice_holds_the_prompt_or_is_the_largest(
    tokens: int, output: int, running: VariantSpec | None
) -> None:
    facts = prompt(max(tokens, 1), output)
    try:
        selection = World(running, engine=tokens).select(facts)
    except ContextLengthExceeded:
        assert tokens >= LARGE.capacity
        return
    needed = selection.size.tokens + output
    assert selection.size.tokens >= tokens
    assert selection.minimum.capacity >= needed or selection.minimum is LARGE
    smaller = [v for v in MODEL.variants if v.capacity < selection.minimum.capacity]
    assert all(v.capacity < needed for v in smaller)


def test_a_variant_of_another_model_is_none_of_its_business() -> None:
    assert variant(100, "other") not in MODEL.variants


@pytest.mark.parametrize(
    ("tokens", "context", "ahead"),
    [
        (None, 1000, None),
        (849, 1000, None),
        (850, 1000, 2000),
        (1699, 1000, 2000),
        (1700, 1000, 4000),
        (4000, 2000, 4000),
        (4000, 4000, None),
    ],
)
def test_the_variant_for_the_next_turn(tokens: int | None, context: int, ahead: int | None) -> None:
    of_three = model(1000, 2000, 4000)
    answered = next(v for v in of_three.variants if v.capacity == context)
    found = choose_ahead(of_three, answered, tokens)
    assert (None if found is None else found.capacity) == ahead


def test_where_no_tokens_are_counted_the_first_variant_is_taken_and_nobody_is_asked() -> None:
    fast, slow = variant(None, name="fast"), variant(None, name="slow")
    spec = ModelSpec("m", (fast, slow))
    selector = ModelSelector(None, None)  # type: ignore[arg-type]  # neither is asked
    selection = result_of(selector.select(spec, chat("a" * 9999)))
    assert (selection.minimum, selection.size, selection.fallbacks) == (fast, UNCOUNTED, ())
