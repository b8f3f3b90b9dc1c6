"""Write a response of the Responses API: whole, or as its events. Pure.

Each event has a number, and each event of an item names it. A response that has begun ends with
``response.completed``, ``.incomplete`` or ``.failed``, which hold all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import orjson

from server.codecs.deltas import Counted, Finished, Reasoning, Refusal, Text, ToolCall
from server.codecs.responses.output import Call, CustomCall, Item, Message, Thoughts
from server.codecs.responses.tools import Named
from server.errors import shape_of
from utils.errors import EngineRefused, GatewayError
from utils.sse import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from server.codecs.deltas import Delta, Json
    from server.codecs.responses.request import ResponseRequest

_Item = TypeVar("_Item", bound=Item)
# Codes of failures that OpenAI's clients know, by ours; any other is an error of the server.
_CODES = {
    "context_length_exceeded": "context_length_exceeded",
    "queue_full": "rate_limit_exceeded",
    "invalid_request": "invalid_prompt",
    "capability_missing": "invalid_prompt",
}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Identity(NamedTuple):
    """What a response has from its beginning: ``created`` in seconds since 1970."""

    id: str
    created: int
    model: str


class ResponseEncoder:
    """Encodes one response.

    ``now`` tells the time in seconds since 1970. With ``queued``, the response has begun before its
    call was made: it waits, and ``begin`` says that it goes on.
    """

    content_type = "text/event-stream"

    def __init__(
        self,
        request: ResponseRequest,
        identity: Identity,
        now: Callable[[], float],
        *,
        queued: bool = False,
    ) -> None:
        self._request = request
        self._identity = identity
        self._now = now
        self._status = "queued" if queued else "in_progress"
        self._events = 0
        self._items: list[Item] = []
        self._calls: dict[int, Call] = {}
        # The message or the thoughts that are being written.
        self._open: Item | None = None
        self._reason: str | None = None
        self._usage: Json | None = None
        self._error: Json | None = None
        self._completed_at: int | None = None
        # The client knows of the response; the engine answers; the response is over.
        self._begun, self._answering, self._ended = queued, False, False

    @property
    def status(self) -> str:
        """``queued``, ``in_progress``, ``completed``, ``incomplete``, ``failed``, ``cancelled``."""
        return self._status

    @property
    def begun(self) -> bool:
        """Whether the client knows of the response, if it reads the stream."""
        return self._begun

    @property
    def answering(self) -> bool:
        """Whether an engine has begun to answer."""
        return self._answering

    def resource(self) -> Json:
        """Return the response as it is now."""
        identity, details = self._identity, None
        if self._status == "incomplete":
            details = {"reason": _INCOMPLETE.get(self._reason or "", "max_output_tokens")}
        conversation = self._request.conversation
        return {
            "id": identity.id,
            "object": "response",
            "created_at": identity.created,
            "completed_at": self._completed_at,
            "status": self._status,
            "error": self._error,
            "incomplete_details": details,
            "model": identity.model,
            "output": [item.json() for item in self._items],
            "usage": self._usage,
            "conversation": None if conversation is None else {"id": conversation},
            **self._request.told,
        }

    # -- a stream --------------------------------------------------------------------

    def queue(self) -> bytes:
        """Return the events of a response that begins to wait in the background."""
        return self._whole("response.created") + self._whole("response.queued")

    def begin(self) -> bytes:
        """Return the events at the beginning of a response."""
        events = b"" if self._begun else self._whole("response.created")
        self._begun, self._answering, self._status = True, True, "in_progress"
        return events + self._whole("response.in_progress")

    def idle(self) -> bytes:
        """Return events for a client that waits; b"" once there is output.

        Some clients hang up on a stream without events, however many comments it has.
        """
        if self._ended or self._items:
            return b""
        events = b"" if self._begun else self._whole("response.created")
        self._begun = True
        return events + self._whole("response.in_progress")

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        """Return the events of what the engine says."""
        return b"".join(self._event(event) for delta in deltas for event in self._said(delta))

    def end(self) -> bytes:
        """Return the events at the end of the engine's answer."""
        if self._reason is None:
            return self.fail(EngineRefused("The engine's answer has no end."))
        return self._end("incomplete" if self._reason in _INCOMPLETE else "completed")

    def fail(self, error: GatewayError) -> bytes:
        """Return the events at the end of a response that failed."""
        if self._ended:
            return b""
        shape = shape_of(error)
        code = _CODES.get(shape.code, "server_error")
        self._error = {"code": code, "message": error.message}
        beginning = b"" if self._begun else self.begin()
        told = {"code": shape.code, "message": error.message, "param": error.param}
        return beginning + self._end("failed", {"type": "error", **told})

    def cancel(self) -> bytes:
        """Return the events at the end of a response that was cancelled."""
        return b"" if self._ended else self._end("cancelled")

    def whole(self) -> bytes:
        """Return the body of a response in one piece."""
        if not self._ended:
            self.end()
        return orjson.dumps(self.resource())

    # -- what the engine says --------------------------------------------------------

    def _said(self, delta: Delta) -> Iterator[Json]:
        match delta:
            case Text() if delta.text or isinstance(self._open, Message):
                message = yield from self._opened(Message, Message)
                yield from message.add_text(delta)
            case Refusal():
                message = yield from self._opened(Message, Message)
                yield from message.add_refusal(delta.text)
            case Reasoning():
                thoughts = yield from self._opened(Thoughts, self._new_thoughts)
                yield from thoughts.add(delta.text)
            case ToolCall():
                yield from self._called(delta)
            case Finished():
                self._reason = delta.reason
            case Counted():
                self._count(delta)
            case _:
                pass

    def _opened(
        self, kind: type[_Item], make: Callable[[int], _Item]
    ) -> Generator[Json, None, _Item]:
        """Return the open item of this kind; before one begins, the one before it ends."""
        if isinstance(self._open, kind):
            return self._open
        yield from self._close()
        item = make(len(self._items))
        self._items.append(item)
        self._open = item
        yield from item.opened()
        return item

    def _close(self) -> Iterator[Json]:
        if self._open is not None:
            yield from self._open.closed("completed")
            self._open = None

    def _called(self, piece: ToolCall) -> Iterator[Json]:
        call = self._calls.get(piece.number)
        if call is None:
            most = self._request.most_calls
            if most is not None and len(self._calls) >= most:
                return
            yield from self._close()
            tool = self._request.tools.get(piece.name or "") or Named(piece.name or "")
            call = (CustomCall if tool.custom else Call)(len(self._items), piece.id, tool)
            self._items.append(call)
            self._calls[piece.number] = call
            yield from call.opened()
        yield from call.add(piece.arguments)

    def _count(self, counted: Counted) -> None:
        told, reasoning, cost = counted
        before = self._usage
        prompt, written, cached = told.prompt, told.completion, told.cached
        if before is not None:
            prompt = before["input_tokens"] if prompt is None else prompt
            written = before["output_tokens"] if written is None else written
            if cached is None:
                cached = before["input_tokens_details"]["cached_tokens"]
            if reasoning is None:
                reasoning = before["output_tokens_details"]["reasoning_tokens"]
            cost = before.get("cost") if cost is None else cost
        prompt, written = prompt or 0, written or 0
        self._usage = {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": cached or 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": reasoning or 0},
            "total_tokens": prompt + written,
        }
        if cost is not None:
            self._usage["cost"] = cost

    # -- events ----------------------------------------------------------------------

    def _end(self, status: str, *last_events: Json) -> bytes:
        self._ended = True
        events = []
        if status == "completed" and not self._items:
            # An empty answer is a message too.
            events += list(self._opened(Message, Message))
        last = self._items[-1] if self._items else None
        for item in self._items:
            cut = status != "completed" and item is last
            events += item.closed("incomplete" if cut else "completed")
        events += last_events
        self._status = status
        if status == "completed":
            self._completed_at = int(self._now())
        kind = "incomplete" if status == "cancelled" else status
        return b"".join(map(self._event, events)) + self._whole(f"response.{kind}")

    def _whole(self, kind: str) -> bytes:
        return self._event({"type": kind, "response": self.resource()})

    def _event(self, event: Json) -> bytes:
        event["sequence_number"] = self._events
        self._events += 1
        return Event.of(event, named=True).raw

    def _new_thoughts(self, place: int) -> Thoughts:
        request = self._request
        return Thoughts(place, summarised=request.summarised, sealed=request.sealed)
