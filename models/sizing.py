"""Size a prompt in tokens, from the cheapest source that is good enough.

The sources in order: an upper bound by bytes, the running engine, a vocabulary with its template,
the standalone tokenizer, and the bound again if no source can count. The counters themselves are
elsewhere, where processes and HTTP are known.

A conversation grows at its end. Each exact count is kept under the digest of the messages that it
covers, so for the next turn only the new messages must be sized. The cache is bounded; the least
recently used entry goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from utils.errors import CountUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, TokenizationSpec


_KEPT = 4096
_TOOL_PROSE = 256
# How many inputs of a request are counted; the engine refuses one that is too long after all.
_COUNTED = 8
_SIZE, _MEDIA, _SOUNDS = attrgetter("size"), attrgetter("media"), attrgetter("sounds")
_log = get_logger("sizing")


class Known(NamedTuple):
    """The longest known beginning of a prompt: its tokens, and the number of its segments."""

    tokens: int = 0
    segments: int = 0


class CountCache:
    """Counts by model and prompt prefix."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._counts: OrderedDict[tuple[str, bytes], int] = OrderedDict()

    def known(self, model: str, facts: RequestFacts) -> Known:
        """Return the longest prefix of the request with a known count, or ``Known()``."""
        for covered in range(len(facts.segments), 0, -1):
            key = (model, facts.segments[covered - 1].digest)
            if (tokens := self._counts.get(key)) is not None:
                self._counts.move_to_end(key)
                return Known(tokens, covered)
        return Known()

    def learn(self, model: str, facts: RequestFacts, tokens: int) -> None:
        """Remember that the request has ``tokens`` prompt tokens.

        A prefilled request is not remembered: in a longer prompt the template would print its
        last message differently.
        """
        if not facts.segments or facts.prefilled:
            return
        self._counts[model, facts.segments[-1].digest] = tokens
        if len(self._counts) > self._kept:
            self._counts.popitem(last=False)

    def forget(self, models: Collection[str]) -> None:
        """Forget the counts of these models."""
        for key in [key for key in self._counts if key[0] in models]:
            del self._counts[key]


def allowance(facts: RequestFacts, spec: TokenizationSpec, known: Known) -> int:
    """Return the tokens that templates and media add to the text of the part not yet known."""
    new = facts.segments[known.segments :]
    messages = len(new) - (known.segments == 0) if new else 0
    sounds: int = sum(map(_SOUNDS, new))
    images: int = sum(map(_MEDIA, new)) - sounds
    # A known count includes the opening of an answer, where now the new messages follow.
    once = spec.extra_tokens_per_message
    if known.segments == 0:
        once = spec.extra_tokens_per_request
        # With tools, templates also print how to call them.
        once += _TOOL_PROSE if facts.segments and facts.segments[0].text else 0
    return (
        once
        + messages * spec.extra_tokens_per_message
        + images * spec.extra_tokens_per_image
        + sounds * spec.extra_tokens_per_audio
    )


def longest(prompts: tuple[str, ...]) -> list[str]:
    """Return the longest few of ``prompts``, to find the one with the most tokens among them."""
    if len(prompts) <= _COUNTED:
        return list(prompts)
    return sorted(prompts, key=len, reverse=True)[:_COUNTED]


def byte_bound(facts: RequestFacts, spec: TokenizationSpec, known: Known) -> int:
    """Return an upper bound of the prompt tokens, without a tokenizer.

    A token of a byte-level or byte-fallback vocabulary stands for at least one byte.
    """
    if not facts.endpoint.sized:
        return 1
    if facts.prompts or facts.prompt_ids:
        most = max((len(text.encode()) for text in facts.prompts), default=0)
        return max(most, facts.prompt_ids) + spec.extra_tokens_per_request
    new: int = sum(map(_SIZE, facts.segments[known.segments :]))
    return known.tokens + new + allowance(facts, spec, known)


class Source(StrEnum):
    """The source of a count."""

    BOUND = "bound"
    CACHE = "cache"
    ENGINE = "engine"
    TOKENIZER = "tokenizer"
    NONE = "none"


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
UNCOUNTED = PromptSize(0, 0, Source.NONE)


class TokenCounter(Protocol):
    """Counts a request's prompt exactly, on the engine that runs its model."""

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        """Return the prompt's tokens with the template, or None if no engine can count them."""


class PromptCounter(Protocol):
    """Counts a request's prompt with its template, without an engine."""

    async def count_prompt(self, model: ModelSpec, facts: RequestFacts) -> int:
        """Return the prompt's tokens, or raise CountUnavailable."""
        ...


class TextCounter(Protocol):
    """Counts text without a template and without an engine."""

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """Return the tokens of the text, or raise CountUnavailable."""
        ...


class Sizer:
    """Sizes prompts, and remembers exact counts."""

    def __init__(
        self,
        engines: TokenCounter,
        tokenizer: TextCounter,
        templates: PromptCounter | None = None,
    ) -> None:
        self._engines = engines
        self._tokenizer = tokenizer
        self._templates = templates
        self._cache = CountCache()
        self._texts = CountCache()
        self._told: set[str] = set()
        self._forgotten = 0

    def guess(self, model: ModelSpec, facts: RequestFacts) -> PromptSize:
        """Return the prompt's size if it is known, else the upper bound by its bytes."""
        known = self._cache.known(model.name, facts)
        if known.segments and known.segments == len(facts.segments):
            return PromptSize(known.tokens, known.tokens, Source.CACHE)
        return PromptSize(byte_bound(facts, model.tokenization, known), 1, Source.BOUND)

    async def count(self, model: ModelSpec, facts: RequestFacts, guess: PromptSize) -> PromptSize:
        """Return the best count of the prompt that there is; ``guess`` if there is none."""
        forgotten = self._forgotten
        exact = await self._engines.count(model, facts)
        if exact is not None and forgotten == self._forgotten:
            self._cache.learn(model.name, facts, exact)
        if exact is not None:
            return PromptSize(exact, exact, Source.ENGINE)
        if (counted := await self._by_template(model, facts)) is not None:
            # The engine may be of another release, and differ by a token or two.
            return PromptSize(counted, max(1, counted - 2 * len(facts.segments)), Source.TOKENIZER)
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

    async def _by_template(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        if self._templates is None:
            return None
        try:
            return await self._templates.count_prompt(model, facts)
        except CountUnavailable:
            return None

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
