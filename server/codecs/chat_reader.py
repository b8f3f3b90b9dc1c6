"""Read what engines answer to chats and text completions: bytes in, deltas out. Pure.

A field that does not follow the API is left out: what else the answer says is still told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference.usage import Told, told_in
from server.codecs.characters import Joiner, loads
from server.codecs.deltas import (
    Begun,
    Counted,
    Failed,
    Finished,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from utils.sse import EventBuffer, events_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.codecs.deltas import Delta, Json

_DATA = b"data:"
_DONE = b"[DONE]"
_NOTHING = Told(None, None, None, None, None, None)


def read_whole(body: bytes) -> list[Delta]:
    """Return the deltas of an answer in one piece."""
    reader = _Reader()
    try:
        answer = loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return [Failed("The engine's answer is no JSON object.")]
    return [*reader.read(answer), *reader.rest()]


class ChatStreamReader:
    """Reads an answer that comes as server-sent events, in pieces cut anywhere."""

    def __init__(self) -> None:
        self._events = EventBuffer()
        self._reader = _Reader()

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return what the events say that ``chunk`` completes."""
        return self._read(self._events.feed(chunk))

    def end(self) -> list[Delta]:
        """Return what is left when the stream has ended."""
        return [*self._read(self._events.take_rest()), *self._reader.rest()]

    def _read(self, events: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        for event in events_of(events):
            data = b"\n".join(
                line[len(_DATA) :].strip()
                for line in event.raw.split(b"\n")
                if line.startswith(_DATA)
            )
            if not data or data == _DONE:
                continue
            try:
                value = loads(data)
            except ValueError:
                continue
            if isinstance(value, dict):
                deltas += self._reader.read(value)
        return deltas


class _Reader:
    """Reads events of one answer, or all of it, of which only the first choice counts."""

    def __init__(self) -> None:
        self._text, self._thoughts, self._refusal = Joiner(), Joiner(), Joiner()
        self._arguments: dict[int, Joiner] = {}
        self._begun = False

    def read(self, event: Json) -> Iterator[Delta]:
        if (error := event.get("error")) is not None:
            yield Failed(_message(error))
            return
        choice = _first(event.get("choices"))
        if choice is not None:
            message = choice.get("delta")
            if message is None:
                message = choice.get("message")
            yield from self._said(message if isinstance(message, dict) else choice, choice)
            if isinstance(reason := choice.get("finish_reason"), str):
                yield from self.rest()
                yield Finished(reason, _stopped_by(event, choice))
        elif isinstance(event.get("content"), str):
            yield from self._filled(event)
        if (counted := _counted(event)) is not None:
            yield counted

    def rest(self) -> Iterator[Delta]:
        """Yield what still waits for the other half of a character."""
        if thoughts := self._thoughts.rest():
            yield Reasoning(thoughts)
        if text := self._text.rest():
            yield Text(text)
        if refusal := self._refusal.rest():
            yield Refusal(refusal)
        for index, joiner in self._arguments.items():
            if arguments := joiner.rest():
                yield ToolCall(index, None, None, arguments)

    def _said(self, message: Json, choice: Json) -> Iterator[Delta]:
        if not self._begun:
            self._begun = True
            yield Begun(_text(message, "role") or "assistant")
        thoughts = _text(message, "reasoning_content") or _text(message, "reasoning")
        if thoughts and (thoughts := self._thoughts.feed(thoughts)):
            yield Reasoning(thoughts)
        logprobs = _logprobs(choice)
        text = self._text.feed(_text(message, "content") or _text(message, "text"))
        if text or logprobs:
            yield Text(text, logprobs)
        if (refusal := _text(message, "refusal")) and (refusal := self._refusal.feed(refusal)):
            yield Refusal(refusal)
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            for place, call in enumerate(calls):
                if isinstance(call, dict):
                    yield self._call(place, call)

    def _filled(self, event: Json) -> Iterator[Delta]:
        """Read the form of engines' own endpoints, such as that for the text in a gap."""
        yield from self._said(event, event)
        if event.get("stop") is True:
            yield from self.rest()
            yield Finished("length" if event.get("stop_type") == "limit" else "stop")

    def _call(self, place: int, call: Json) -> ToolCall:
        index = call.get("index")
        index = index if isinstance(index, int) else place
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        joiner = self._arguments.setdefault(index, Joiner())
        arguments = joiner.feed(_text(function, "arguments"))
        return ToolCall(
            index, _text(call, "id") or None, _text(function, "name") or None, arguments
        )


def _counted(event: Json) -> Counted | None:
    try:
        told = told_in(event)
    except TypeError:
        return None
    if told == _NOTHING:
        return None
    usage = event.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details, cost = usage.get("completion_tokens_details"), usage.get("cost")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return Counted(
        told,
        reasoning if isinstance(reasoning, int) else None,
        cost if isinstance(cost, int | float) and not isinstance(cost, bool) else None,
    )


def _first(choices: Any) -> Json | None:  # noqa: ANN401 - decoded JSON
    if not isinstance(choices, list):
        return None
    mine = (c for c in choices if isinstance(c, dict) and not c.get("index"))
    return next(mine, None)


def _stopped_by(event: Json, choice: Json) -> str:
    """Return the sequence that ended the answer; engines tell it in one of two places."""
    more = event.get("__verbose")
    told = _text(more, "stopping_word") if isinstance(more, dict) else ""
    return told or _text(choice, "stop_reason")


def _text(fields: Json, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _logprobs(choice: Json) -> tuple[Json, ...]:
    found = choice.get("logprobs")
    content = found.get("content") if isinstance(found, dict) else None
    if not isinstance(content, list):
        return ()
    return tuple(each for each in content if isinstance(each, dict))


def _message(error: Any) -> str:  # noqa: ANN401 - decoded JSON
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) and message else "The engine gave no reason."
