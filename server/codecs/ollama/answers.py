"""Write answers in Ollama's API: a stream of lines, each a JSON object, or one whole object. Pure.

The last line has the counts, the durations in nanoseconds, and the ``cost`` for who pays. A stream
that ends by a fault ends with a line that has an ``error``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import orjson

from server.codecs.deltas import Counted, Finished, Reasoning, Refusal, Text, ToolCall
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inference.usage import Told
    from models.requests.fields import Json
    from server.codecs.deltas import Delta
    from utils.errors import GatewayError

LINES = "application/x-ndjson"
_NANOSECONDS = 1e9
_PER_MILLISECOND = 1e6
_LENGTH = "length"


class Times(Protocol):
    """The times of one request."""

    def now(self) -> str:
        """Return the time of day, in the form of RFC 3339."""
        ...

    def total(self) -> float:
        """Return the seconds since the request came."""
        ...

    def loading(self) -> float:
        """Return the seconds that it waited while a model was loaded; known once it has ended."""
        ...


def line(value: Json) -> bytes:
    """Return ``value`` as a line of a stream."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def nanoseconds(seconds: float) -> int:
    """Return seconds as Ollama's API tells durations."""
    return round(seconds * _NANOSECONDS)


class GenerateEncoder:
    """Writes an answer of ``/api/generate``.

    ``model`` is the name as the client wrote it, and ``top`` how many alternatives to each token
    it wants.
    """

    content_type = LINES

    def __init__(self, model: str, times: Times, top: int = 0) -> None:
        self._model = model
        self._times = times
        self._top = top
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._logprobs: list[Json] = []
        self._calls = _Calls()
        self._reason = ""
        self._counts: list[Told] = []
        self._cost: float | None = None

    # -- what differs between the two endpoints --------------------------------------

    def _said(self, text: str, thoughts: str = "", calls: list[Json] | None = None) -> Json:
        said: Json = {"response": text}
        if thoughts:
            said["thinking"] = thoughts
        if calls:
            said["tool_calls"] = calls
        return said

    # -- a stream --------------------------------------------------------------------

    def begin(self) -> bytes:
        """Return nothing: the first words of the answer begin the stream."""
        return b""

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        """Note what the engine says; return its lines.

        Raises EngineRefused if the model calls a tool with what is no JSON object.
        """
        return b"".join(map(self._line, deltas))

    def _line(self, delta: Delta) -> bytes:
        match delta:
            case Text(text, logprobs):
                told = [_logprob(each, self._top) for each in logprobs]
                self._texts.append(text)
                self._logprobs += told
                return self._part(self._said(text), told)
            case Refusal(text):
                self._texts.append(text)
                return self._part(self._said(text))
            case Reasoning(text):
                self._thoughts.append(text)
                return self._part(self._said("", text))
            case ToolCall():
                self._calls.add(delta)
            case Finished(reason):
                self._reason = reason
                if calls := self._calls.ended(cut=reason == _LENGTH):
                    return self._part(self._said("", calls=calls))
            case Counted(told=counts, cost=cost):
                self._counts.append(counts)
                self._cost = self._cost if cost is None else cost
        return b""

    def _part(self, said: Json, logprobs: list[Json] | None = None) -> bytes:
        more: Json = {"logprobs": logprobs} if logprobs else {}
        return line({**self._head(), **said, "done": False, **more})

    def idle(self, status: str = "") -> bytes:
        """Return a line without text, for a client that waits; ``status`` says what for."""
        return self._part(self._said("") | ({"status": status} if status else {}))

    def end(self) -> bytes:
        """Return the last line."""
        return line({**self._head(), **self._said(""), **self._done()})

    def fail(self, error: GatewayError) -> bytes:
        """Return the line that ends the stream by a fault."""
        return line({"error": error.message})

    # -- a whole answer --------------------------------------------------------------

    def whole(self) -> bytes:
        """Return the whole answer."""
        calls = self._calls.ended(cut=self._reason == _LENGTH)
        said = self._said("".join(self._texts), "".join(self._thoughts), calls)
        more: Json = {"logprobs": self._logprobs} if self._logprobs else {}
        return orjson.dumps({**self._head(), **said, **self._done(), **more})

    def without_answer(self, reason: str) -> Json:
        """Return the answer to a request for no text; ``reason`` says what was done instead."""
        return {**self._head(), **self._said(""), "done": True, "done_reason": reason}

    def _head(self) -> Json:
        return {"model": self._model, "created_at": self._times.now()}

    def _done(self) -> Json:
        times = self._times
        counts = {
            name: value
            for told in self._counts
            for name, value in told._asdict().items()
            if value is not None
        }
        done: Json = {
            "done": True,
            "done_reason": _LENGTH if self._reason == _LENGTH else "stop",
            "total_duration": nanoseconds(times.total()),
            "load_duration": nanoseconds(times.loading()),
        }
        for name, count, duration in (
            ("prompt_eval", "prompt", "reading"),
            ("eval", "completion", "writing"),
        ):
            if count in counts:
                done[f"{name}_count"] = counts[count]
            if duration in counts:
                done[f"{name}_duration"] = round(counts[duration] * _PER_MILLISECOND)
        if self._cost is not None:
            done["cost"] = self._cost
        return done


class ChatEncoder(GenerateEncoder):
    """Writes an answer of ``/api/chat``."""

    def _said(self, text: str, thoughts: str = "", calls: list[Json] | None = None) -> Json:
        message: Json = {"role": "assistant", "content": text}
        if thoughts:
            message["thinking"] = thoughts
        if calls:
            message["tool_calls"] = calls
        return {"message": message}


class _Calls:
    """The calls of tools in one answer, which engines tell in pieces."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[str, str, list[str]]] = {}

    def add(self, piece: ToolCall) -> None:
        """Note the next piece of a call."""
        # Named apart, as a named tuple has a method ``index``.
        number: int = piece[0]
        call, name, arguments = self._calls.get(number, ("", "", []))
        arguments.append(piece.arguments)
        self._calls[number] = (piece.id or call, piece.name or name, arguments)

    def ended(self, *, cut: bool) -> list[Json]:
        """Return the calls; a limit that ``cut`` the answer may have cut the last one: not that.

        Raises EngineRefused if another one's arguments are no JSON object.
        """
        told: list[Json] = []
        for place, index in enumerate(sorted(self._calls)):
            call, name, pieces = self._calls[index]
            arguments = _object("".join(pieces))
            if arguments is None:
                if cut and place == len(self._calls) - 1:
                    break
                raise EngineRefused(
                    f"The model calls the tool '{name}' with arguments that are no JSON object."
                )
            function = {"index": place, "name": name, "arguments": arguments}
            told.append({"id": call, "function": function} if call else {"function": function})
        return told


def _object(text: str) -> Json | None:
    if not text.strip():
        return {}
    try:
        value: Any = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _logprob(token: Json, top: int) -> Json:
    told = _token(token)
    others = token.get("top_logprobs")
    if top and isinstance(others, list):
        told["top_logprobs"] = [_token(each) for each in others[:top] if isinstance(each, dict)]
    return told


def _token(token: Json) -> Json:
    told = {"token": token.get("token", ""), "logprob": token.get("logprob", 0.0)}
    if (data := token.get("bytes")) is not None:
        told["bytes"] = data
    return told
