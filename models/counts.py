"""Prompt sizes that are known already, found by what the prompt begins with.

A conversation grows at its end. Each exact count is kept under the digest of
the messages it covers, so the next turn only has to size what is new. Pure; a
bounded dictionary whose oldest unused entry goes first.
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
# Of many inputs, so many are counted; an engine refuses what it could not hold after all.
_COUNTED = 8


class Known(NamedTuple):
    """The longest known beginning of a prompt: its tokens, and how many segments it covers."""

    tokens: int = 0
    segments: int = 0


class CountCache:
    """Counts by model and prompt prefix."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._counts: OrderedDict[tuple[str, bytes], int] = OrderedDict()

    def known(self, model: str, facts: RequestFacts) -> Known:
        """The longest prefix of the request that was counted before; Known() when none was."""
        for covered in range(len(facts.segments), 0, -1):
            key = (model, facts.segments[covered - 1].digest)
            if (tokens := self._counts.get(key)) is not None:
                self._counts.move_to_end(key)
                return Known(tokens, covered)
        return Known()

    def learn(self, model: str, facts: RequestFacts, tokens: int) -> None:
        """The whole request has ``tokens`` prompt tokens.

        One that ends in an answer to be continued is no beginning of a longer one: its last
        message would be printed differently there.
        """
        if not facts.segments or facts.prefilled:
            return
        self._counts[model, facts.segments[-1].digest] = tokens
        if len(self._counts) > self._kept:
            self._counts.popitem(last=False)

    def forget(self, models: Collection[str]) -> None:
        """Nothing is known of these models."""
        for key in [key for key in self._counts if key[0] in models]:
            del self._counts[key]


def allowance(facts: RequestFacts, spec: TokenizationSpec, known: Known) -> int:
    """Tokens that templates and media add beyond the texts themselves, for what is not known."""
    new = facts.segments[known.segments :]
    messages = len(new) - (known.segments == 0) if new else 0
    sounds = sum(segment.sounds for segment in new)
    images = sum(segment.media for segment in new) - sounds
    # Where a known beginning ends, the template's opening of an answer gives way to more.
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
    """The few of ``prompts`` among which the one with the most tokens is looked for."""
    if len(prompts) <= _COUNTED:
        return list(prompts)
    return sorted(prompts, key=len, reverse=True)[:_COUNTED]


def byte_bound(facts: RequestFacts, spec: TokenizationSpec, known: Known) -> int:
    """A number of prompt tokens that the request cannot exceed; needs no tokenizer.

    Every token of a byte-level or byte-fallback vocabulary stands for at least one byte.
    """
    if not facts.endpoint.sized:
        return 1
    if facts.prompts or facts.prompt_ids:
        most = max((len(text.encode()) for text in facts.prompts), default=0)
        return max(most, facts.prompt_ids) + spec.extra_tokens_per_request
    new = sum(segment.size for segment in facts.segments[known.segments :])
    return known.tokens + new + allowance(facts, spec, known)
