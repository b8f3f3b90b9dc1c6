"""server/codecs/chat_reader.py: what engines answer, as deltas."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import from_bytes

from inference.usage import Told
from server.codecs.chat_reader import ChatStreamReader, read_whole
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

if TYPE_CHECKING:
    from server.codecs.deltas import Delta

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
COUNTED = Counted(Told(5, 3, None, None, None, None))


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def read(stream: bytes, *cuts: int) -> list[Delta]:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    reader = ChatStreamReader()
    deltas: list[Delta] = []
    for start, end in pairwise(places):
        deltas += reader.feed(stream[start:end])
    return deltas + reader.end()


STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": None}),
        b": a comment\n\n",
        chunk({"reasoning_content": "hm 😉"}),
        chunk({"content": "hel"}),
        chunk({"content": "lo €"}),
        chunk(
            {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]}),
        chunk({}, "tool_calls"),
        b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n",
        b"data: [DONE]\n\n",
    ]
)
DELTAS = [
    Begun("assistant"),
    Reasoning("hm 😉"),
    Text("hel"),
    Text("lo €"),
    ToolCall(0, "c1", "f", ""),
    ToolCall(0, None, None, '{"a": 1}'),
    Finished("tool_calls"),
    COUNTED,
]


@given(cuts=st.lists(st.integers(0, 4000), max_size=30))
def test_a_stream_cut_anywhere_says_the_same(cuts: list[int]) -> None:
    assert read(STREAM, *cuts) == DELTAS
    assert read(STREAM.replace(b"\n", b"\r\n"), *cuts) == DELTAS
    assert read(STREAM.replace(b"data: ", b"data:"), *cuts) == DELTAS


def test_a_whole_answer_says_the_same_as_a_stream() -> None:
    message = {
        "role": "assistant",
        "reasoning_content": "hm",
        "content": "hello",
        "refusal": "no",
        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
    }
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": USAGE}
    assert read_whole(json.dumps(body).encode()) == [
        Begun("assistant"),
        Reasoning("hm"),
        Text("hello"),
        Refusal("no"),
        ToolCall(0, "c1", "f", "{}"),
        Finished("stop"),
        COUNTED,
    ]


def test_text_completions_are_read() -> None:
    events = [
        {"choices": [{"text": "a", "index": 0}]},
        {"choices": [{"text": "", "finish_reason": "length"}]},
    ]
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    assert read(stream) == [Begun("assistant"), Text("a"), Finished("length")]


@pytest.mark.parametrize(("ended", "reason"), [("limit", "length"), ("eos", "stop")])
def test_engines_own_form_of_a_text_is_read(ended: str, reason: str) -> None:
    last = {"content": "", "stop": True, "stop_type": ended, "timings": {"predicted_n": 2}}
    events = [{"content": "a ", "stop": False}, {"content": "b", "stop": False}, last]
    stream = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    counted = Counted(Told(None, 2, None, None, None, None))
    end = [Finished(reason), counted]
    assert read(stream) == [Begun("assistant"), Text("a "), Text("b"), *end]
    assert read_whole(json.dumps({**last, "content": "a b"}).encode()) == [
        Begun("assistant"),
        Text("a b"),
        *end,
    ]


def test_halves_of_a_character_are_joined_and_the_end_waits_for_none() -> None:
    escaped = b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n'
    assert read(escaped % b"\\ud83d" + escaped % b"\\ude09!") == [Begun("assistant"), Text("😉!")]
    assert read(escaped % b"\xf0\x9f" + escaped % b"\x98\x89") == [Begun("assistant"), Text("😉")]
    assert read(escaped % b"\\ud83d" + chunk({}, "stop")) == [
        Begun("assistant"),
        Text("\ufffd"),
        Finished("stop"),
    ]
    assert read(escaped % b"a\\ud83d") == [Begun("assistant"), Text("a"), Text("\ufffd")]


def test_log_probabilities_come_with_the_text() -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    choice = {"delta": {"content": "a"}, "logprobs": {"content": [token]}}
    stream = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    assert read(stream)[1:] == [Text("a", (token,))]


def test_timings_are_counts() -> None:
    timings = {"prompt_n": 2, "cache_n": 3, "prompt_ms": 1.5, "predicted_n": 4, "predicted_ms": 2.5}
    [*_, last] = read(chunk({}, "stop", timings=timings))
    assert last == Counted(Told(5, 4, 3, 2, 1.5, 2.5))
    details = {"completion_tokens_details": {"reasoning_tokens": 2}}
    [*_, last] = read(chunk({}, "stop", usage=USAGE | details))
    assert last == COUNTED._replace(reasoning=2)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ({"message": "broken", "code": 500}, "broken"),
        ("broken", "broken"),
        ({}, "The engine gave no reason."),
        ({"message": 3}, "The engine gave no reason."),
    ],
)
def test_an_error_in_a_stream_is_told(error: Any, message: str) -> None:
    body = json.dumps({"error": error}).encode()
    assert read(b"data: " + body + b"\n\n") == [Failed(message)]
    assert read_whole(body) == [Failed(message)]


def test_what_is_no_answer_is_an_error_in_one_piece_and_left_out_of_a_stream() -> None:
    assert read_whole(b"<html>") == [Failed("The engine's answer is no JSON object.")]
    assert read_whole(b"[]") == [Failed("The engine's answer is no JSON object.")]
    assert read(b"data: nonsense\n\ndata: [1]\n\nevent: x\n\n") == []


NAMES = "choices delta content tool_calls function logprobs usage error".split()


@given(answer=from_bytes(lambda parts: parts.value(names=NAMES)))
def test_no_answer_breaks_the_reader(answer: Any) -> None:
    body = json.dumps(answer).encode()
    read_whole(body)
    read(b"data: " + body + b"\n\n")


def test_only_the_first_choice_counts() -> None:
    other = {"index": 1, "delta": {"content": "other"}}
    stream = b"data: " + json.dumps({"choices": [other]}).encode() + b"\n\n"
    assert read(stream) == []
