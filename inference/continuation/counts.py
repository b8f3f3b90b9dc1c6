"""The counts of an answer in several parts, told as those of one. Pure.

The prompt is what the client sent, the answer what all engines wrote. What later engines read
again is counted as neither, but its time is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inference.usage import told_in

Json = dict[str, Any]

# Anthropic's; what it counts is no part of ``input_tokens``.
_CACHE_READ = "cache_read_input_tokens"


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens of prompt and answer; ``cached`` ones of the prompt were not read. Times in ms."""

    prompt: int
    written: int
    cached: int = 0
    reading: float = 0.0
    writing: float = 0.0

    def completed(self, more: Counts) -> Counts:
        """Return these counts updated by a later event of the same answer."""
        return Counts(
            more.prompt or self.prompt,
            more.written or self.written,
            more.cached or self.cached,
            more.reading or self.reading,
            more.writing or self.writing,
        )

    @property
    def total(self) -> int:
        """The tokens in the context at the end of the answer."""
        return self.prompt + self.written

    def then(self, later: Counts) -> Counts:
        """Return the counts of this part and a ``later`` one together."""
        return Counts(
            self.prompt,
            self.written + later.written,
            self.cached,
            self.reading + later.reading,
            self.writing + later.writing,
        )


def counts_of(answer: Json) -> Counts | None:
    """Return what an answer or event counts; 0 for what it leaves out, None without an answer."""
    told = told_in(answer)
    if told.completion is None:
        return None
    return Counts(
        told.prompt or 0,
        told.completion,
        told.cached or 0,
        told.reading or 0.0,
        told.writing or 0.0,
    )


def recount(answer: Json, before: Counts) -> None:
    """Change the counts in ``answer``, of one part, to include those of the parts ``before``."""
    usage, timings = answer.get("usage"), answer.get("timings")
    if isinstance(usage, dict):
        _recount_usage(usage, before)
    if isinstance(timings, dict) and (part := counts_of({"timings": timings})) is not None:
        whole = before.then(part)
        read = whole.prompt - whole.cached
        timings |= {
            "cache_n": whole.cached,
            "prompt_n": read,
            "prompt_ms": whole.reading,
            "prompt_per_token_ms": _share(whole.reading, read),
            "prompt_per_second": 1000 * _share(read, whole.reading),
            "predicted_n": whole.written,
            "predicted_ms": whole.writing,
            "predicted_per_token_ms": _share(whole.writing, whole.written),
            "predicted_per_second": 1000 * _share(whole.written, whole.writing),
        }


def _recount_usage(usage: Json, before: Counts) -> None:
    if "completion_tokens" in usage:
        written = before.written + usage["completion_tokens"]
        told = {"prompt_tokens": before.prompt, "completion_tokens": written, "total_tokens": 0}
    elif "output_tokens" in usage:
        written = before.written + usage["output_tokens"]
        # Only Anthropic's usage counts what was cached apart; its streams count no prompt here.
        read = before.prompt - (before.cached if _CACHE_READ in usage else 0)
        whole = {"input_tokens": read, _CACHE_READ: before.cached, "total_tokens": 0}
        told = {name: count for name, count in whole.items() if name in usage}
        told["output_tokens"] = written
    else:
        return
    usage |= told
    if "total_tokens" in told:
        usage["total_tokens"] = before.prompt + written
    for name in ("prompt_tokens_details", "input_tokens_details"):
        if isinstance(usage.get(name), dict):
            usage[name]["cached_tokens"] = before.cached


def _share(amount: float, of: float) -> float:
    return amount / of if of else 0.0
