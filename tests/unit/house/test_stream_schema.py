"""The checker of streams accepts the streams of the APIs' documents, and rejects broken ones."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from paths import ROOT
from stream_schema import DONE, BadStreamError, check_stream

# As the documents of OpenAI, Anthropic and Ollama describe them: names and data of the events.
EXAMPLES: dict[str, dict[str, list[Any]]] = json.loads(
    (ROOT / "tests" / "support" / "stream_examples.json").read_text()
)
GOOD = [(path, name) for path, examples in EXAMPLES.items() for name in examples]
WHOLE = [each for each in GOOD if each[1] != "an error"]
# Data that are still a stream of the API if one of them is left out.
SPARE = ("ping", "content_block_delta")


def written(path: str, events: list[Any]) -> tuple[str, bytes]:
    """Return the content type and the bytes of a stream of these events."""
    if path.startswith("/api/"):
        lines = [json.dumps(data) + "\n" for _, data in events]
        return "application/x-ndjson", "".join(lines).encode()
    text = ""
    for name, data in events:
        text += f"event: {name}\n" if name else ""
        text += f"data: {data if data == DONE else json.dumps(data)}\n\n"
    return "text/event-stream", text.encode()


def check(path: str, events: list[Any]) -> None:
    check_stream(path, *written(path, events))


def is_spare(event: Any) -> bool:
    """Return whether a stream without this event is still one."""
    name, data = event
    if name:
        return name in SPARE
    if data == DONE or data.get("done"):
        return False
    choices = data.get("choices", [{}])
    said = choices[0].get("delta", {}) if choices else {}
    return "role" not in said and not any(choice.get("finish_reason") for choice in choices)


@pytest.mark.parametrize(("path", "name"), GOOD)
def test_the_streams_of_the_documents_are_accepted(path: str, name: str) -> None:
    events = EXAMPLES[path][name]
    check(path, events)
    kind, body = written(path, events)
    if kind == "text/event-stream":
        check_stream(path, kind, b": keep-alive\n\n" + body)


@pytest.mark.parametrize(("path", "name"), WHOLE)
def test_each_event_is_needed_and_nothing_follows_the_last(path: str, name: str) -> None:
    events = EXAMPLES[path][name]
    for place, event in enumerate(events):
        if not is_spare(event):
            with pytest.raises(BadStreamError):
                check(path, events[:place] + events[place + 1 :])
    for event in events:
        with pytest.raises(BadStreamError, match="after the end"):
            check(path, [*events, event])


@pytest.mark.parametrize(("path", "name"), WHOLE)
def test_a_stream_that_is_cut_anywhere_is_rejected(path: str, name: str) -> None:
    kind, body = written(path, EXAMPLES[path][name])
    for end in {*range(0, len(body), 29), *range(len(body) - 9, len(body) - 1)}:
        with pytest.raises(BadStreamError):
            check_stream(path, kind, body[:end])


@pytest.mark.parametrize(("path", "name"), WHOLE)
def test_what_the_types_require_is_required(path: str, name: str) -> None:
    required = {
        "/v1/chat/completions": ("id", "created", "model", "object", "choices"),
        "/v1/completions": ("id", "created", "model", "object", "choices"),
        "/v1/messages": ("type",),
        "/v1/responses": ("type", "sequence_number"),
        "/api/chat": ("message", "done"),
        "/api/generate": ("response", "done"),
    }[path]
    for place, (_, data) in enumerate(EXAMPLES[path][name]):
        for key in required if data != DONE else ():
            events = copy.deepcopy(EXAMPLES[path][name])
            del events[place][1][key]
            with pytest.raises(BadStreamError):
                check(path, events)


# -- each a stream, the place of an event in it, and what the event is instead
BROKEN: list[tuple[str, str, int, Any]] = [
    ("/v1/chat/completions", "text, with usage", 1, ["message", {}]),
    ("/v1/chat/completions", "text, with usage", 1, ["", {"error": "a text"}]),
    ("/v1/chat/completions", "text, with usage", 3, ["", {"choices": []}]),
    ("/v1/messages", "text", 0, ["", {"type": "message_start"}]),
    ("/v1/messages", "text", 3, ["content_block_delta", {"type": "content_block_delta"}]),
    ("/v1/messages", "an error", 1, ["", {"error": {"type": "api_error", "message": "x"}}]),
    ("/v1/messages", "an error", 1, ["error", {"error": {"type": "api_error", "message": "x"}}]),
    ("/v1/responses", "an error", 1, ["", {"error": {"type": "api_error", "message": "x"}}]),
    ("/v1/responses", "text", 4, ["response.said", {"type": "response.said"}]),
    ("/api/chat", "an error", 1, ["", {"error": {"message": "x"}}]),
]


@pytest.mark.parametrize(("path", "name", "place", "event"), BROKEN)
def test_a_broken_event_is_rejected(path: str, name: str, place: int, event: Any) -> None:
    events = list(EXAMPLES[path][name])
    events[place] = event
    with pytest.raises(BadStreamError):
        check(path, events)


def test_a_delta_of_another_kind_of_block_is_rejected() -> None:
    events = copy.deepcopy(EXAMPLES["/v1/messages"]["a call of a tool"])
    [place] = [n for n, (_, data) in enumerate(events) if data.get("delta", {}).get("text")]
    events[place][1]["delta"] = {"type": "input_json_delta", "partial_json": "{}"}
    with pytest.raises(BadStreamError, match="in text"):
        check("/v1/messages", events)


def test_a_fault_ends_by_an_error_and_a_cut_connection() -> None:
    for path, examples in EXAMPLES.items():
        if "an error" not in examples:
            continue
        kind, body = written(path, examples["an error"])
        check_stream(path, kind, body, cut=True)
        [name] = set(examples) & {"text", "text, with usage"}
        kind, body = written(path, examples[name])
        with pytest.raises(BadStreamError, match="cut"):
            check_stream(path, kind, body, cut=True)


def test_half_an_event_may_stand_before_the_error_of_a_cut_stream_only() -> None:
    [begin, fault] = EXAMPLES["/v1/chat/completions"]["an error"]
    half = b'data: {"id":"chatcmpl-1","obj\n\n'
    kind, first = written("/v1/chat/completions", [begin])
    _, last = written("/v1/chat/completions", [fault])
    check_stream("/v1/chat/completions", kind, first + half + last, cut=True)
    with pytest.raises(BadStreamError, match="no JSON"):
        check_stream("/v1/chat/completions", kind, first + half + last)


def test_other_responses_are_not_looked_at() -> None:
    check_stream("/v1/chat/completions", "application/json", b"{}")
    check_stream("/upstream/m/stream", "text/event-stream", b"anything")
