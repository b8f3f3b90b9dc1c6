"""Known prompt sizes, found by the beginning of the prompt. Pure.

A conversation grows at its end. Each exact count is kept under the digest of the messages that it
covers, so for the next turn only the new messages must be sized. The cache is bounded; the least
recently used entry goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from models.requests.reader import RequestFacts
    from models.spec import TokenizationSpec

_KEPT = 4096
_TOOL_PROSE = 256
# How many inputs of a request are counted; the engine refuses one that is too long after all.
_COUNTED = 8


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
    sounds = sum(segment.sounds for segment in new)
    images = sum(segment.media for segment in new) - sounds
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
    new = sum(segment.size for segment in facts.segments[known.segments :])
    return known.tokens + new + allowance(facts, spec, known)
