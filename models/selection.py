"""Choose the variant for a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from models.sizing import UNCOUNTED, Source
from utils.errors import ContextLengthExceeded

if TYPE_CHECKING:
    from collections.abc import Collection

    from models.requests.reader import RequestFacts
    from models.sizing import PromptSize, Sizer
    from models.spec import ModelSpec, VariantSpec


AHEAD = 0.85


class Selection(NamedTuple):
    """The smallest variant that is large enough, and the size that it was chosen for.

    ``fallbacks`` are smaller variants that would still do, the largest first: see ``smaller``.
    """

    model: ModelSpec
    minimum: VariantSpec
    size: PromptSize
    output: int
    fallbacks: tuple[VariantSpec, ...] = ()


class RunningVariants(Protocol):
    """Knows the running variant of each model."""

    def running(self, model: ModelSpec) -> VariantSpec | None:
        """Return the variant whose engine is starting or ready, or None."""


def choose(model: ModelSpec, prompt: int, output: int, context: int = 0) -> VariantSpec:
    """Return the smallest variant that holds prompt and output, else the largest variant.

    ``context`` is what the client wants at least.
    """
    needed = max(prompt + output, context)
    for variant in model.variants:
        if variant.capacity >= needed:
            return variant
    return model.largest


def smaller(model: ModelSpec, minimum: VariantSpec, least: int) -> tuple[VariantSpec, ...]:
    """Return the variants smaller than ``minimum`` that hold ``least`` tokens, the largest first.

    ``least`` counts what the request must have: its prompt, and its answer if the client named a
    length that ``minimum`` can hold. A default reserve for the answer is not needed. An estimated
    prompt size may be too large; the engine refuses a prompt that is too long before it answers.
    """
    return tuple(v for v in reversed(model.variants) if least <= v.capacity < minimum.capacity)


def choose_larger(
    model: ModelSpec, refused: VariantSpec, prompt: int, output: int
) -> VariantSpec | None:
    """Return the variant to try after an engine refused a prompt of ``prompt`` tokens, or None.

    It is larger than the refused variant, even if that one's configured context would do.
    """
    larger = [v for v in model.variants if v.capacity > max(refused.capacity, prompt)]
    enough = (variant for variant in larger if variant.capacity >= prompt + output)
    return next(enough, larger[-1] if larger else None)


def choose_ahead(model: ModelSpec, answered: VariantSpec, tokens: int | None) -> VariantSpec | None:
    """Return the variant for the next turn of a conversation of ``tokens``, if it must be larger.

    That is so if ``tokens`` fill at least the share ``AHEAD`` of the context. Return None if the
    current variant will do, no larger one exists, or ``tokens`` is unknown (None).
    """
    if tokens is None or tokens < AHEAD * answered.capacity:
        return None
    larger = [variant for variant in model.variants if variant.capacity > answered.capacity]
    enough = (variant for variant in larger if tokens < AHEAD * variant.capacity)
    return next(enough, larger[-1] if larger else None)


def _needed(
    facts: RequestFacts, size: PromptSize, output: int, least: int, minimum: VariantSpec
) -> int:
    """Return the tokens that a variant smaller than ``minimum`` must hold."""
    if facts.max_output is not None and size.at_least + output <= minimum.capacity:
        return size.tokens + output
    if facts.endpoint.generates and not facts.endpoint.cut_to_fit:
        # If the prompt is too long after all, the engine refuses it.
        return size.at_least + least
    return size.tokens + least


class ModelSelector:
    """Sizes a request and chooses its variant."""

    def __init__(self, sizer: Sizer, engines: RunningVariants) -> None:
        self._sizer = sizer
        self._engines = engines

    async def select(self, model: ModelSpec, facts: RequestFacts) -> Selection:
        """Return the variant for the request; raise ContextLengthExceeded if none can hold it.

        If the model's requests have no token counts, it is the model's first variant.
        """
        output = facts.max_output
        if output is None:
            output = model.tokenization.default_max_tokens
        limit = model.tokenization.max_reserved_tokens
        if limit is not None and model.grow_answers and facts.endpoint.grows:
            output = min(output, limit)
        # A prompt must leave room for at least one token, or the engine refuses it.
        least = 1 if facts.endpoint.generates else 0
        output = max(least, output)
        if not model.counted:
            return Selection(model, model.variants[0], UNCOUNTED, output)
        size = self._sizer.guess(model, facts)
        minimum = choose(model, size.tokens, output, facts.context)
        if not size.exact and minimum is not choose(model, size.at_least, output, facts.context):
            running = self._engines.running(model)
            if running is None or running.capacity < max(size.tokens + output, facts.context):
                size = await self._sizer.count(model, facts, size)
                minimum = choose(model, size.tokens, output, facts.context)
        if size.at_least + least > model.largest.capacity and not facts.endpoint.cut_to_fit:
            raise ContextLengthExceeded(model.name, size.at_least, model.largest.capacity)
        if minimum is model.variants[0]:
            return Selection(model, minimum, size, output)
        needed = _needed(facts, size, output, least, minimum)
        return Selection(model, minimum, size, output, smaller(model, minimum, needed))

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        """Return the prompt's tokens, by what counts best; None if nothing can without an engine.

        A running engine counts exactly; no engine is started.
        """
        guess = self._sizer.guess(model, facts)
        size = guess if guess.exact else await self._sizer.count(model, facts, guess)
        return None if size.source is Source.BOUND else size.tokens

    def learn(self, model: ModelSpec, facts: RequestFacts, tokens: int) -> None:
        """Remember the exact prompt size that an engine reported, for the next turn."""
        self._sizer.learn(model, facts, tokens)

    def forget(self, models: Collection[str]) -> None:
        """Forget the prompt sizes of these models."""
        self._sizer.forget(models)
