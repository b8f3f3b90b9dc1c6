"""An answer that ends because its context is full, continued in a larger one. Pure.

``Growth`` sits between an engine's answer and the client: what may be the end of the answer
is held back until it is known whether the answer goes on. It goes on as the assistant's own
words, which the engine continues instead of answering; an engine repeats them, so the
beginning of what it says then is taken away. To the client it is one answer: one id, one
``usage``, one end.

Where the continuation would not be what the larger engine had written in one go, the answer
ends as the engine ended it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from models.request import Kind
from server.sse import Event, events_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.request import RequestFacts

Json = dict[str, Any]

_FULL = b'"finish_reason":"length"'
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
)
# A full context may lack the tokens that would not have fitted together.
_SLACK = 4


@dataclass(slots=True)
class Part:
    """One engine's part of an answer: its words, and its counts where it told them."""

    text: str
    prompt: int
    written: int
    model_said_more: bool

    @property
    def total(self) -> int:
        """Tokens in the context at its end."""
        return self.prompt + self.written


@dataclass(frozen=True, slots=True)
class _Step:
    """What ``Growth`` knows once the next engine has begun."""

    text: str
    written: int
    prompt: int
    total: int
    left: int | None


def grows(facts: RequestFacts) -> bool:
    """Whether answers to such a request can be continued at all."""
    return facts.kind in (Kind.CHAT, Kind.COMPLETION)


class Growth:
    """One answer's way through one or more engines."""

    def __init__(self, facts: RequestFacts) -> None:
        self._facts = facts
        self._kind = facts.kind
        self._raw: list[bytes] = []
        self._held: list[bytes] | None = None
        # Of the answer so far.
        self._text = ""
        self._written = 0
        self._prompt = 0
        self._id: bytes | None = None
        self._repeated = ""
        self._later_id: bytes | None = None
        self._tail = b""
        self._next: _Step | None = None

    # -- a stream ----------------------------------------------------------------------

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream's next bytes the client may have already."""
        if self._written:
            chunk = self._mended(chunk)
        if self._held is not None:
            self._held.append(chunk)
            return b""
        at = chunk.find(_FULL)
        start = chunk.rfind(b"data: ", 0, at) if at >= 0 else -1
        if start < 0:
            self._raw.append(chunk)
            return chunk
        self._held = [chunk[start:]]
        if start:
            self._raw.append(chunk[:start])
        return chunk[:start]

    def held(self) -> bytes:
        """The end of the stream as the engine meant it, with the counts of the whole answer."""
        end = b"".join(self._held or ()) + self._tail
        self._held, self._tail = None, b""
        return end

    def stream_so_far(self, context: int) -> bytes | None:
        """The request that continues a stream cut short by its context; None if it was not.

        ``goes_on`` says that it was begun.
        """
        if self._held is None:
            return None
        events = list(events_of(b"".join(self._held)))
        said = list(events_of(b"".join(self._raw)))
        part = _part_of_events(said, events, self._kind)
        if part is None:
            return None
        self._id = self._id or _id_of(said)
        return self._continued(part, context)

    # -- an answer in one piece --------------------------------------------------------

    def whole_so_far(self, body: bytes, context: int) -> bytes | None:
        """The request that continues a whole answer cut short by its context, or None."""
        if _FULL not in body:
            return None
        part = _part_of_whole(body, self._kind)
        if part is None:
            return None
        if self._kind is Kind.CHAT:
            # Each answer holds all words so far.
            self._text = ""
        return self._continued(part, context)

    def whole(self, body: bytes) -> bytes:
        """The last engine's answer with the counts of all; completions with their beginning."""
        if not self._written:
            return body
        answer = orjson.loads(body)
        if self._kind is Kind.COMPLETION:
            choice = answer["choices"][0]
            choice["text"] = self._repeated + choice["text"]
        self._recount(answer)
        return orjson.dumps(answer)

    # -- both --------------------------------------------------------------------------

    def _continued(self, part: Part, context: int) -> bytes | None:
        request = orjson.loads(self._facts.body)
        written = self._written + part.written
        if part.model_said_more or part.total + _SLACK < context or not part.text:
            return None
        left = _left(request, written)
        text = self._text + part.text
        if (left is not None and left <= 0) or not _exact(request) or _may_stop(request, text):
            return None
        if not _put(request, self._kind, text):
            return None
        for name in _LIMITS:
            if isinstance(request.get(name), int) and request[name] >= 0:
                request[name] -= written
        self._next = _Step(text, written, self._prompt or part.prompt, part.total, left)
        return orjson.dumps(request)

    @property
    def needs(self) -> tuple[int, int | None]:
        """Tokens that the continuation begins with, and those it may still write, if limited."""
        if self._next is None:
            return 0, None
        return self._next.total, self._next.left

    def goes_on(self) -> None:
        """The continuation has begun: what was held back is not the end."""
        if self._next is None:
            return
        self._text, self._written = self._next.text, self._next.written
        self._prompt = self._next.prompt
        self._repeated = self._text
        self._raw, self._held, self._later_id, self._next = [], None, None, None

    def _mended(self, chunk: bytes) -> bytes:
        """A later engine's part, as if the first had written it; whole events only."""
        whole = (self._tail + chunk).rpartition(b"\n\n")
        self._tail = whole[2]
        chunk = whole[0] + whole[1]
        if self._repeated or self._later_id is None:
            chunk = b"".join(self._unrepeated(event) for event in events_of(chunk))
        elif self._id is not None:
            chunk = chunk.replace(self._later_id, self._id)
        return self._counted(chunk)

    def _unrepeated(self, event: Event) -> bytes:
        data = event.json()
        if data is None:
            return event.raw
        if self._later_id is None and isinstance(data.get("id"), str):
            self._later_id = data["id"].encode()
        choice = _choice(data)
        if choice is None:
            return self._renamed(event.raw)
        if self._kind is Kind.COMPLETION:
            self._repeated = ""
            return self._renamed(event.raw)
        delta = choice.get("delta") or {}
        content = delta.get("content")
        if not isinstance(content, str) or not content:
            # The role was told already.
            return b"" if "role" in delta else self._renamed(event.raw)
        known = _shared(content, self._repeated)
        self._repeated = self._repeated[known:]
        if known == len(content):
            return b""
        self._repeated = ""
        choice["delta"] = {"content": content[known:]}
        return self._renamed(b"data: " + orjson.dumps(data) + b"\n\n")

    def _renamed(self, raw: bytes) -> bytes:
        if self._later_id is None or self._id is None:
            return raw
        return raw.replace(self._later_id, self._id)

    def _counted(self, chunk: bytes) -> bytes:
        if not self._written or b'"usage"' not in chunk:
            return chunk
        return b"".join(map(self._recounted, events_of(chunk)))

    def _recounted(self, event: Event) -> bytes:
        data = event.json()
        if data is None or not isinstance(data.get("usage"), dict):
            return event.raw
        self._recount(data)
        return b"data: " + orjson.dumps(data) + b"\n\n"

    def _recount(self, answer: Json) -> None:
        usage = answer.get("usage")
        if not isinstance(usage, dict):
            return
        written = usage.get("completion_tokens", 0) + self._written
        usage |= {
            "prompt_tokens": self._prompt,
            "completion_tokens": written,
            "total_tokens": self._prompt + written,
        }


def _part_of_events(said: Iterable[Event], end: Iterable[Event], kind: Kind) -> Part | None:
    text, more = "", False
    for event in (*said, *end):
        choice = _choice(event.json() or {})
        if choice is None:
            continue
        if choice.get("index"):
            return None
        delta = choice.get("delta") or {}
        text += (choice.get("text") if kind is Kind.COMPLETION else delta.get("content")) or ""
        more |= bool(delta.get("tool_calls") or delta.get("reasoning_content"))
    counts = next((found for event in end if (found := _counts(event.json() or {}))), None)
    return None if counts is None else Part(text, *counts, more)


def _part_of_whole(body: bytes, kind: Kind) -> Part | None:
    answer = orjson.loads(body)
    choice, counts = _choice(answer), _counts(answer)
    if choice is None or counts is None or len(answer["choices"]) != 1:
        return None
    message = choice.get("message") or {}
    text = choice.get("text") if kind is Kind.COMPLETION else message.get("content")
    more = bool(message.get("tool_calls") or message.get("reasoning_content"))
    return Part(text or "", *counts, more)


def _choice(data: Json) -> Json | None:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return choices[0]


def _counts(data: Json) -> tuple[int, int] | None:
    """Prompt and written tokens: by ``timings``, which every answer's last event has, or usage."""
    timings, usage = data.get("timings"), data.get("usage")
    if isinstance(timings, dict) and "predicted_n" in timings:
        prompt = timings.get("prompt_n", 0) + timings.get("cache_n", 0)
        return prompt, timings["predicted_n"]
    if isinstance(usage, dict) and "completion_tokens" in usage:
        return usage.get("prompt_tokens", 0), usage["completion_tokens"]
    return None


def _id_of(events: Iterable[Event]) -> bytes | None:
    for event in events:
        found = (event.json() or {}).get("id")
        if isinstance(found, str):
            return found.encode()
    return None


def _left(request: Json, written: int) -> int | None:
    limits = [request[name] for name in _LIMITS if isinstance(request.get(name), int)]
    limits = [limit for limit in limits if limit >= 0]
    return max(limits) - written if limits else None


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
    if not isinstance(begun, str) or not text.startswith(begun) or len(last) > len(("role", begun)):
        return False
    last["content"] = text
    return True


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    most = min(len(one), len(other))
    return next((at for at in range(most) if one[at] != other[at]), most)
