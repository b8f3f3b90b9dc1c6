"""What a stream of each API must be: every event, and their order.

The events are checked by the official libraries' own types, which are generated from the APIs'
descriptions. The order is checked by one small machine for each API. ``check_stream`` takes the
bytes of a whole response; the client of the tests hands it every stream that it reads to the end.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from response_events import check_order
from response_types import EVENT
from sdk_types import sdk_type

if TYPE_CHECKING:
    from collections.abc import Callable

DONE = "[DONE]"
_MESSAGE: TypeAdapter[Any] = TypeAdapter(
    sdk_type("anthropic.types.raw_message_stream_event", "RawMessageStreamEvent")
)
_CHUNK = sdk_type("openai.types.chat.chat_completion_chunk", "ChatCompletionChunk")
_COMPLETION = sdk_type("openai.types.completion", "Completion")


class BadStreamError(AssertionError):
    """A stream is not what its API promises."""


def _must(fact: object, otherwise: str) -> None:
    if not fact:
        raise BadStreamError(otherwise)


class _Machine:
    """The order of one API's events. ``over``: nothing may follow; ``failed``: by an error."""

    def __init__(self) -> None:
        self.over = self.failed = False

    def see(self, name: str, data: Any) -> None:
        """Take the next event: its name, or nothing, and its data. BadStreamError if it is bad."""
        _must(not self.over, f"after the end of the stream: {name} {data}")
        if self.is_error(name, data):
            self.over = self.failed = True
        else:
            self.next(name, data)

    def is_error(self, name: str, data: Any) -> bool:
        """Return whether this event tells of a fault. BadStreamError if it tells it badly."""
        if not isinstance(data, dict) or "error" not in data:
            return False
        error = data["error"]
        _must(not name, f"an error with the name {name}")
        _must(isinstance(error, dict) and error.get("message") and error.get("type"), str(data))
        return True

    def next(self, name: str, data: Any) -> None:
        """Take an event that is no error."""
        raise NotImplementedError


class _Chat(_Machine):
    """Each choice: a role, then deltas, then a reason to finish; then perhaps the usage; [DONE]."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._about: set[tuple[str, str]] = set()
        self._used = False

    def next(self, name: str, data: Any) -> None:
        _must(not name, f"an event with the name {name}")
        if data == DONE:
            _must(self._finished, "[DONE] before anything was finished")
            _must(not self._open, f"[DONE], and these choices are unfinished: {self._open}")
            self.over = True
            return
        _CHUNK.model_validate(data)
        _must(not self._used, "a chunk after the usage")
        self._about.add((data["id"], data["object"]))
        _must(len(self._about) == 1, f"chunks of several answers: {self._about}")
        for choice in data["choices"]:
            self._choice(choice)
        if not data["choices"]:
            _must(data.get("usage"), f"a chunk of nothing: {data}")
            _must(self._finished, "usage before anything was finished")
            _must(not self._open, "usage before the end")
            self._used = True

    def _choice(self, choice: Any) -> None:
        index, delta = choice["index"], choice["delta"]
        _must(index not in self._finished, f"choice {index} goes on after its end")
        if index not in self._open:
            _must(delta.get("role") == "assistant", f"choice {index} begins without a role")
            self._open.add(index)
        if choice.get("finish_reason"):
            self._open.discard(index)
            self._finished.add(index)


class _Text(_Machine):
    """Pieces of text; each choice ends with a reason to finish; [DONE]."""

    def __init__(self) -> None:
        super().__init__()
        self._finished: set[int] = set()
        self._seen: set[int] = set()

    def next(self, name: str, data: Any) -> None:
        _must(not name, f"an event with the name {name}")
        if data == DONE:
            _must(self._seen and self._seen == self._finished, "[DONE] before the end")
            self.over = True
            return
        # The library's type wants a reason in every piece; in a stream only the last one has it.
        choices = [{**c, "finish_reason": c["finish_reason"] or "stop"} for c in data["choices"]]
        _COMPLETION.model_validate({**data, "choices": choices})
        for choice in data["choices"]:
            _must(choice["index"] not in self._finished, "a choice goes on after its end")
            self._seen.add(choice["index"])
            if choice["finish_reason"]:
                self._finished.add(choice["index"])


class _Messages(_Machine):
    """Anthropic's: a message begins, its blocks begin and end one after another, it ends."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = self._reasoned = False
        self._blocks = 0
        self._kind: str | None = None

    def is_error(self, name: str, data: Any) -> bool:
        if name != "error":
            return False
        _must(data.get("type") == "error", f"an error of the type {data.get('type')}")
        error = data["error"]
        _must(error.get("type") and error.get("message"), str(data))
        return True

    def next(self, name: str, data: Any) -> None:
        _must(name == data.get("type"), f"{name} has data of the type {data.get('type')}")
        if name == "ping":
            return
        _MESSAGE.validate_python(data)
        if name == "message_start":
            _must(not self._begun, "a second beginning")
            _must(data["message"]["content"] == [], "the message begins with content")
            self._begun = True
            return
        _must(self._begun, f"{name} before message_start")
        if name == "content_block_start":
            _must(self._kind is None, "a block begins inside another")
            _must(data["index"] == self._blocks, f"block {data['index']} out of order")
            _must(not self._reasoned, "a block after message_delta")
            self._kind = data["content_block"]["type"]
        elif name == "content_block_delta":
            _must(self._kind is not None and data["index"] == self._blocks, "a delta of no block")
            _must(data["delta"]["type"] in _DELTAS[self._kind or ""], f"{data} in {self._kind}")
        elif name == "content_block_stop":
            _must(self._kind is not None and data["index"] == self._blocks, "the end of no block")
            self._kind, self._blocks = None, self._blocks + 1
        elif name == "message_delta":
            _must(self._kind is None, "message_delta inside a block")
            _must(data["delta"]["stop_reason"], "message_delta without a reason")
            self._reasoned = True
        else:
            _must(self._reasoned, "message_stop without a reason before")
            self.over = True


_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "tool_use": {"input_json_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
}


class _Responses(_Machine):
    """OpenAI's Responses: numbered events; items and parts begin and end; the response ends."""

    def __init__(self) -> None:
        super().__init__()
        self._events: list[Any] = []

    def see(self, name: str, data: Any) -> None:
        # After an error, the response itself may still be told, as it is now.
        if self.failed and name == "response.failed" and self._events:
            self.over, self.failed = False, False
        super().see(name, data)

    def is_error(self, name: str, data: Any) -> bool:
        if name != "error":
            return False
        self._numbered(data)
        return True

    def next(self, name: str, data: Any) -> None:
        _must(name == data.get("type"), f"{name} has data of the type {data.get('type')}")
        self._numbered(data)
        first = len(self._events) == 1
        _must((name == "response.created") == first, f"{name} at {len(self._events)}")
        if name in {"response.completed", "response.incomplete"}:
            check_order(self._events)
            self.over = True
        elif name == "response.failed":
            self.over = self.failed = True

    def _numbered(self, data: Any) -> None:
        EVENT.validate_python(data)
        _must(data["sequence_number"] == len(self._events), f"not the next number: {data}")
        self._events.append(data)


class _Ollama(_Machine):
    """Ollama's lines: the last one, and no other, is done."""

    def __init__(self, line: type[Any], said: str) -> None:
        super().__init__()
        self._line, self._said = line, said

    def is_error(self, _name: str, data: Any) -> bool:
        if "error" not in data:
            return False
        _must(isinstance(data["error"], str) and data["error"], str(data))
        return True

    def next(self, _name: str, data: Any) -> None:
        self._line.model_validate(data)
        _must(isinstance(data.get("done"), bool), f"done is missing: {data}")
        _must(self._said in data, f"{self._said} is missing: {data}")
        if data["done"]:
            _must(data.get("done_reason"), f"the end without a reason: {data}")
            self.over = True


_MACHINES: dict[str, Callable[[], _Machine]] = {
    "/v1/chat/completions": _Chat,
    "/chat/completions": _Chat,
    "/v1/completions": _Text,
    "/v1/messages": _Messages,
    "/v1/responses": _Responses,
    "/responses": _Responses,
    "/api/chat": lambda: _Ollama(sdk_type("ollama._types", "ChatResponse"), "message"),
    "/api/generate": lambda: _Ollama(sdk_type("ollama._types", "GenerateResponse"), "response"),
}


def check_stream(path: str, content_type: str, body: bytes, *, cut: bool = False) -> None:
    """Return if ``body``, the whole response of ``path``, is a stream as its API promises.

    Other responses are not looked at. ``cut``: the connection ended before the response did; the
    last event must be an error then, and the one before it may be half an event. BadStreamError
    otherwise.
    """
    begin = _MACHINES.get(path.partition("?")[0])
    lines = content_type.startswith("application/x-ndjson")
    if begin is None or not (lines or content_type.startswith("text/event-stream")):
        return
    machine = begin()
    events = _lines(body) if lines else _events(body)
    for number, (name, text) in enumerate(events):
        try:
            data = DONE if text == DONE else json.loads(text)
        except ValueError as error:
            if cut and number == len(events) - 2:
                continue
            raise BadStreamError(f"no JSON: {text!r}") from error
        try:
            machine.see(name, data)
        except (ValidationError, KeyError, AssertionError) as error:
            raise BadStreamError(f"event {number} of {path}: {error}\n{text}") from error
    _must(machine.over, f"{path}: the stream has no end: {body[-300:]!r}")
    _must(machine.failed or not cut, f"{path}: the end is there, and the connection was cut")


def _events(body: bytes) -> list[tuple[str, str]]:
    """Return the names and data of the events; comments are left out."""
    *blocks, rest = body.decode().split("\n\n")
    _must(not rest, f"no blank line after {rest!r}")
    found = []
    for block in blocks:
        name, data = "", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            if field == "event":
                name = value.removeprefix(" ")
            elif field == "data":
                data.append(value.removeprefix(" "))
            else:
                _must(not field, f"no line of an event: {line!r}")
        if data:
            found.append((name, "\n".join(data)))
        else:
            _must(not name, f"an event without data: {block!r}")
    return found


def _lines(body: bytes) -> list[tuple[str, str]]:
    *lines, rest = body.decode().split("\n")
    _must(not rest, f"no end of line after {rest!r}")
    return [("", line) for line in lines]
