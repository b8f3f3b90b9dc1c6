"""inference/continuation: answers that no llama-server writes pass, and are not continued."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from builders import chat, completion
from hypothesis import given
from json_values import ANY_PARTS

from inference.continuation.answer import ContinuedAnswer
from inference.continuation.chat import CHAT, COMPLETION
from inference.continuation.stream import ContinuedStream
from utils.sse import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from json_values import Parts

TEXT = "Es war einmal ein Fuchs, der lief"
MORE = " heim."
COUNTS: dict[str, Any] = {
    "timings": {"cache_n": 0, "prompt_n": 60, "prompt_ms": 1.5, "predicted_n": 40},
    "usage": {
        "prompt_tokens": 60,
        "completion_tokens": 40,
        "prompt_tokens_details": {"cached_tokens": 0},
    },
}
SPENT = {"input_tokens": 60, "output_tokens": 40}
SPOILT = ("null", "true", "-1", "1.5", '"x"', "[]", "{}", "[null]", "[[]]", "[{}]", '{"a": 1}')


def chat_answer(text: str) -> Any:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "length", "message": message}
    return {"id": "a", "choices": [choice], **COUNTS}


def chat_events(text: str) -> list[Any]:
    def of(finish: str | None, **delta: Any) -> Any:
        return {"id": "a", "choices": [{"index": 0, "finish_reason": finish, "delta": delta}]}

    return [
        of(None, role="assistant", content=None),
        of(None, content=text[:9]),
        of(None, content=text[9:]),
        {**of("length"), **COUNTS},
    ]


def completion_answer(text: str) -> Any:
    return {"id": "a", "choices": [{"index": 0, "finish_reason": "length", "text": text}], **COUNTS}


def completion_events(text: str) -> list[Any]:
    choice = {"index": 0, "finish_reason": None, "text": text}
    return [{"id": "a", "choices": [choice]}, completion_answer("")]


every_tongue = pytest.mark.parametrize(
    ("codec", "facts", "answer", "events"),
    [
        (CHAT, chat("hi"), chat_answer, chat_events),
        (COMPLETION, completion("hi"), completion_answer, completion_events),
    ],
    ids=["chat", "completion"],
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in ``value`` and each key of it."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def spoilt(parts: Parts, value: Any) -> Any:
    """Return a copy in which a value is missing or changed."""
    value = copy.deepcopy(value)
    for _ in range(1 + parts.below(2)):
        found = list(places(value))
        where, key = parts.one_of(found)
        if isinstance(where, dict) and parts.below(2):
            del where[key]
        else:
            where[key] = orjson.loads(parts.one_of(SPOILT))
    return value


def written(events: Any) -> bytes:
    return b"".join(Event.of(each).raw for each in events if isinstance(each, dict))


@every_tongue
@given(parts=ANY_PARTS)
def test_an_only_answer(
    codec: Any, facts: Any, answer: Callable[[str], Any], events: Any, parts: Parts
) -> None:
    del events
    body = orjson.dumps(spoilt(parts, answer(TEXT)))
    growing = ContinuedAnswer(codec, facts, body)
    growing.ended(100)
    assert growing.body == body


@every_tongue
@given(parts=ANY_PARTS)
def test_what_follows_an_answer(
    codec: Any, facts: Any, answer: Callable[[str], Any], events: Any, parts: Parts
) -> None:
    del events
    first = orjson.dumps(answer(TEXT))
    growing = ContinuedAnswer(codec, facts, first)
    assert growing.ended(100) is not None
    following = spoilt(parts, answer(TEXT + MORE if codec.repeats else MORE))
    joins = growing.joins(orjson.dumps(following))
    assert joins or growing.body == first
    growing.ended(200)
    assert growing.cached is None or isinstance(growing.cached, int)


@every_tongue
@given(parts=ANY_PARTS)
def test_an_only_stream(
    codec: Any, facts: Any, answer: Any, events: Callable[[str], list[Any]], parts: Parts
) -> None:
    del answer
    sent = written(spoilt(parts, events(TEXT)))
    growing = ContinuedStream(codec, facts)
    got = growing.feed(sent)
    growing.ended(100)
    assert got + growing.end() == sent


@every_tongue
@given(parts=ANY_PARTS)
def test_what_follows_a_stream(
    codec: Any, facts: Any, answer: Any, events: Callable[[str], list[Any]], parts: Parts
) -> None:
    del answer
    growing = ContinuedStream(codec, facts)
    growing.feed(written(events(TEXT)))
    assert growing.ended(100) is not None
    own_end = growing.end()
    growing.resume()
    following = spoilt(parts, events(TEXT + MORE if codec.repeats else MORE))
    passed = growing.feed(written(following))
    growing.ended(200)
    assert not growing.refused or (not passed and growing.end() == own_end)
    assert growing.cached is None or isinstance(growing.cached, int)
