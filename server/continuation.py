"""The request that continues an answer, where that answer can be continued exactly. Pure.

The words so far become the assistant's own last message, which an engine continues instead
of answering it; in a text completion they follow the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from models.request import Kind

if TYPE_CHECKING:
    from models.request import RequestFacts
    from server.counts import Counts

Json = dict[str, Any]

_LIMITS = ("max_tokens", "max_completion_tokens", "n_predict")
# With these the words so far do not tell all that led to them, or more than words was asked for.
_INEXACT = (
    "logprobs",
    "top_logprobs",
    "n_probs",
    "json_schema",
    "grammar",
    "echo",
    "suffix",
    "best_of",
    "t_max_predict_ms",
    "n_indent",
    "return_tokens",
    "continue_final_message",
)
# So many characters are more than one token: a repetition can be told from something new.
LEAST = 24
# The end of a character that did not fit any more.
_BROKEN = "\ufffd"


@dataclass(frozen=True, slots=True)
class Continuation:
    """A request, and what it begins with.

    ``text`` is the answer so far, ``counts`` are those of the engine that wrote last, ``left`` how
    many tokens may still be written, None without a limit.
    """

    body: bytes
    text: str
    counts: Counts
    left: int | None


def grows(facts: RequestFacts) -> bool:
    """Whether answers to such a request can be continued at all."""
    return facts.kind in (Kind.CHAT, Kind.COMPLETION)


def continuation(
    facts: RequestFacts, text: str, written: int, counts: Counts
) -> Continuation | None:
    """The request for what follows ``text``, of ``written`` tokens; None where it is not exact."""
    request = orjson.loads(facts.body)
    left = _left(request, written)
    if left is not None and left <= 0:
        return None
    if len(text.strip()) < LEAST or text.endswith(_BROKEN):
        return None
    if not _exact(request) or _may_stop(request, text) or not _put(request, facts.kind, text):
        return None
    for name in _LIMITS:
        if (limit := _limit(request, name)) is not None:
            request[name] = limit - written
    return Continuation(orjson.dumps(request), text, counts, left)


def _limit(request: Json, name: str) -> int | None:
    value = request.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    return int(value)


def _left(request: Json, written: int) -> int | None:
    limits = [limit for name in _LIMITS if (limit := _limit(request, name)) is not None]
    return min(limits) - written if limits else None


def _exact(request: Json) -> bool:
    if any(request.get(name) for name in _INEXACT) or request.get("n") not in (None, 1):
        return False
    form = request.get("response_format")
    return not isinstance(form, dict) or form.get("type") in (None, "text")


def _may_stop(request: Json, text: str) -> bool:
    """Whether the words end in what may be the beginning of a stop sequence."""
    stops = request.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    return any(
        text.endswith(stop[:length])
        for stop in stops
        if isinstance(stop, str)
        for length in range(1, len(stop))
    )


def _put(request: Json, kind: Kind, text: str) -> bool:
    """The request asks for what follows ``text``; False where it cannot."""
    if kind is Kind.COMPLETION:
        if not isinstance(request.get("prompt"), str):
            return False
        request["prompt"] += text
        return True
    messages = request["messages"]
    last = messages[-1]
    if last.get("role") != "assistant":
        messages.append({"role": "assistant", "content": text})
        return True
    # A client's own beginning: engines repeat it, so it stands in the words already.
    begun = last.get("content")
    if (
        not isinstance(begun, str)
        or not text.startswith(begun)
        or last.keys() - {"role", "content"}
    ):
        return False
    last["content"] = text
    return True
