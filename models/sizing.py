"""Size a prompt in tokens, from the cheapest source that is good enough.

The sources in order: an upper bound by bytes, the running engine, the standalone tokenizer, and
the bound again if no source can count. The counters themselves are elsewhere, where processes
and HTTP are known.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from models.counts import CountCache, Known, allowance, byte_bound, longest
from utils.errors import CountUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec

_log = get_logger("sizing")


class Source(Enum):
    """The source of a count."""

    BOUND = "bound"
    CACHE = "cache"
    ENGINE = "engine"
    TOKENIZER = "tokenizer"
    NOBODY = "nobody"


class PromptSize(NamedTuple):
    """The size of a prompt: from ``at_least`` to ``tokens`` tokens. Equal if exact."""

    tokens: int
    at_least: int
    source: Source

    @property
    def exact(self) -> bool:
        """Return whether the count is exact."""
        return self.tokens == self.at_least


# Where engines count no tokens.
UNCOUNTED = PromptSize(0, 0, Source.NOBODY)


class TokenCounter(Protocol):
    """Counts a request's prompt exactly, on the engine that runs its model."""

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        """Return the prompt's tokens with the template, or None if no engine can count them."""


class TextCounter(Protocol):
    """Counts text without a template and without an engine."""

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """Return the tokens of the text, or raise CountUnavailable."""
        ...


class Sizer:
    """Sizes prompts, and remembers exact counts."""

    def __init__(self, engines: TokenCounter, tokenizer: TextCounter) -> None:
        self._engines = engines
        self._tokenizer = tokenizer
        self._cache = CountCache()
        self._texts = CountCache()
        self._told: set[str] = set()
        self._forgotten = 0

    async def size(
        self, model: ModelSpec, facts: RequestFacts, clear: Callable[[PromptSize], bool]
    ) -> PromptSize:
        """Return the prompt's size: the bound if it is ``clear``, else the best count there is."""
        known = self._cache.known(model.name, facts)
        if known.segments and known.segments == len(facts.segments):
            return PromptSize(known.tokens, known.tokens, Source.CACHE)
        guess = PromptSize(byte_bound(facts, model.tokenization, known), 1, Source.BOUND)
        if clear(guess):
            return guess
        forgotten = self._forgotten
        exact = await self._engines.count(model, facts)
        if exact is not None and forgotten == self._forgotten:
            self._cache.learn(model.name, facts, exact)
        if exact is not None:
            return PromptSize(exact, exact, Source.ENGINE)
        try:
            return await self._standalone(model, facts)
        except CountUnavailable as error:
            if model.tokenization.binary is not None and model.name not in self._told:
                self._told.add(model.name)
                _log.warning("tokens of '%s' can only be estimated: %s", model.name, error)
            return guess

    def learn(self, model: ModelSpec, facts: RequestFacts, tokens: int) -> None:
        """Remember that an engine reported ``tokens`` prompt tokens for this request."""
        self._cache.learn(model.name, facts, tokens)

    def forget(self, models: Collection[str]) -> None:
        """Forget the counts of these models, also those in progress."""
        self._forgotten += 1
        self._told.difference_update(models)
        for cache in (self._cache, self._texts):
            cache.forget(models)

    async def _standalone(self, model: ModelSpec, facts: RequestFacts) -> PromptSize:
        if facts.prompts or facts.prompt_ids:
            counts = [await self._tokenizer.count_text(model, t) for t in longest(facts.prompts)]
            most = max([*counts, facts.prompt_ids])
            return PromptSize(
                most + model.tokenization.extra_tokens_per_request, most, Source.TOKENIZER
            )
        known = self._texts.known(model.name, facts)
        new = "\n".join(segment.text for segment in facts.segments[known.segments :])
        forgotten = self._forgotten
        fresh = await self._tokenizer.count_text(model, new) if new else 0
        # Only the counts of texts are remembered; the allowance is added once, for the whole.
        texts = known.tokens + fresh
        if forgotten == self._forgotten:
            self._texts.learn(model.name, facts, texts)
        # Joining texts moves token borders a little, and a template may leave out the tools.
        certain = texts - 2 * len(facts.segments)
        at_least = max(1, certain) if all(s.verbatim for s in facts.segments) else 1
        return PromptSize(
            texts + allowance(facts, model.tokenization, Known()), at_least, Source.TOKENIZER
        )
