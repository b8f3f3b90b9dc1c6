"""A model of fake engines that fill their contexts, for tests of continuation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway import fake_model, fake_variant

from models.spec import TokenizationSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fake_engine import Journal

    from models.spec import ModelSpec

LENGTH = 300
PROMPT = 5
# The whole answer of the engines, and the part that the smallest has room for.
WHOLE = " ".join(f"hello.{i}" for i in range(LENGTH))
FIRST = " ".join(f"hello.{i}" for i in range(128 - PROMPT))


def growing(
    journal: Journal,
    *contexts: int,
    large: Mapping[str, Any] | None = None,
    prefill: str = "",
    **fields: Any,
) -> ModelSpec:
    """Return variants whose engines write up to ``LENGTH`` tokens; the largest has faults."""
    fields.setdefault("grow_answers", True)
    # Some APIs require a limit; it says nothing about the length of the answer.
    reserve = TokenizationSpec(default_max_tokens=16, max_reserved_tokens=16)
    fields.setdefault("tokenization", reserve)
    small: dict[str, Any] = {"default_tokens": LENGTH, "prefill": prefill}
    last = {**small, **(large or {})}
    variants = [fake_variant(journal, context, **small) for context in contexts[:-1]]
    return fake_model(*variants, fake_variant(journal, contexts[-1], **last), **fields)
