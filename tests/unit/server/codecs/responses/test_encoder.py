"""server/codecs/responses/encoder.py and output.py: every event is one that OpenAI's types know."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import Parts, from_bytes
from response_types import check_whole, checked

from inference.usage import Told
from server.codecs.chat_reader import ChatStreamReader
from server.codecs.deltas import (
    Begun,
    Counted,
    Delta,
    Finished,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from server.codecs.responses.encoder import Identity, ResponseEncoder
from server.codecs.responses.request import read_request
from utils.errors import ContextLengthExceeded, EngineBroke, QueueFull

IDENTITY = Identity("resp_1", 1000, "m")
COUNTED = Counted(Told(10, 4, 6, None, None, None))
TOKEN = {
    "token": "hi",
    "logprob": -0.1,
    "bytes": None,
    "top_logprobs": [{"token": "ho", "logprob": -2.0, "bytes": [104, 111]}],
}
TOOLS = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}},
    {"type": "custom", "name": "c"},
    {
        "type": "namespace",
        "name": "n",
        "description": "d",
        "tools": [{"type": "function", "name": "f"}],
    },
]


def encoder(**request: Any) -> ResponseEncoder:
    asked = read_request({"input": "hello", "tools": TOOLS, **request})
    return ResponseEncoder(asked, IDENTITY, lambda: 1002.5)


def streamed(*deltas: Delta, **request: Any) -> list[dict[str, Any]]:
    made = encoder(**request)
    return checked(made.begin() + b"".join(made.feed([each]) for each in deltas) + made.end())


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_text() -> None:
    events = streamed(Begun("assistant"), Text("he"), Text("llo"), Finished("stop"), COUNTED)
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["output"] == []
    assert events[0]["response"]["status"] == "in_progress"
    whole = events[-1]["response"]
    assert whole["status"] == "completed"
    assert whole["completed_at"] == 1002
    [message] = whole["output"]
    assert message["content"][0]["text"] == "hello"
    assert whole["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 14,
    }


def test_whole_and_stream_are_the_same_but_for_ids() -> None:
    deltas: list[Delta]
    deltas = [Reasoning("hm"), Text("hello"), ToolCall(0, "c1", "f", "{}"), Finished("tool_calls")]
    made = encoder()
    made.feed(deltas)
    whole = json.loads(made.whole())
    check_whole(whole)
    told = streamed(*deltas)[-1]["response"]
    for response in (whole, told):
        for item in response["output"]:
            del item["id"]
    assert whole == told


@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_a_limit_makes_it_incomplete(reason: str, why: str) -> None:
    events = streamed(Reasoning("hm"), Text("hel"), Finished(reason))
    whole = events[-1]["response"]
    assert events[-1]["type"] == "response.incomplete"
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": why})
    assert [item["status"] for item in whole["output"]] == ["completed", "incomplete"]
    assert whole["completed_at"] is None


def test_thoughts_come_as_content_or_as_a_summary() -> None:
    events = streamed(Reasoning("h"), Reasoning("m"), Text("a"), Finished("stop"))
    thoughts = events[-1]["response"]["output"][0]
    assert thoughts["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert (thoughts["type"], thoughts["summary"]) == ("reasoning", [])
    assert "reasoning_text.delta" in kinds(events)
    events = streamed(Reasoning("hm"), Text("a"), Finished("stop"), reasoning={"summary": "auto"})
    thoughts = events[-1]["response"]["output"][0]
    assert thoughts["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert "content" not in thoughts
    assert kinds(events)[3:7] == [
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
    ]
    events = streamed(
        Reasoning("hm"), Finished("stop"), include=["reasoning.encrypted_content"], store=False
    )
    sealed = events[-1]["response"]["output"][0]["encrypted_content"]
    assert b"hm" in base64.b64decode(sealed)


def test_functions_are_called_at_once() -> None:
    events = streamed(
        Text("let me see"),
        ToolCall(0, "c1", "f", '{"a"'),
        ToolCall(1, None, "f", ""),
        ToolCall(0, None, None, ": 1}"),
        ToolCall(1, None, None, "{}"),
        Finished("tool_calls"),
    )
    message, first, second = events[-1]["response"]["output"]
    assert message["status"] == "completed"
    assert (first["call_id"], first["name"], first["arguments"]) == ("c1", "f", '{"a": 1}')
    assert second["call_id"].startswith("call_")
    assert second["arguments"] == "{}"


def test_no_more_tools_are_called_than_wanted() -> None:
    calls = [ToolCall(at, f"c{at}", "f", "{}") for at in range(3)]
    events = streamed(*calls, Finished("tool_calls"), max_tool_calls=2)
    assert [each["call_id"] for each in events[-1]["response"]["output"]] == ["c0", "c1"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [('{"input": "ls"}', "ls"), ('{"input": ""}', ""), ("ls", "ls"), ('{"x": 1}', '{"x": 1}')],
)
def test_a_custom_tool_gets_a_text(arguments: str, text: str) -> None:
    pieces = [ToolCall(0, "c1", "c", ""), *(ToolCall(0, None, None, char) for char in arguments)]
    events = streamed(*pieces, Finished("tool_calls"))
    [call] = events[-1]["response"]["output"]
    assert (call["type"], call["input"], call["call_id"]) == ("custom_tool_call", text, "c1")


def test_a_tool_of_a_namespace_is_called_by_its_own_name() -> None:
    events = streamed(ToolCall(0, "c1", "n__f", "{}"), Finished("tool_calls"))
    [call] = events[-1]["response"]["output"]
    assert (call["name"], call["namespace"]) == ("f", "n")


def test_a_refusal_is_a_part_of_its_own() -> None:
    events = streamed(Text("I "), Refusal("can"), Refusal("not"), Finished("stop"))
    [message] = events[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "cannot"


def test_log_probabilities_have_all_their_fields() -> None:
    events = streamed(Text("hi", (TOKEN,)), Finished("stop"), top_logprobs=1)
    [part] = events[-1]["response"]["output"][0]["content"]
    [token] = part["logprobs"]
    assert token["bytes"] == [104, 105]
    assert token["top_logprobs"] == [{"token": "ho", "logprob": -2.0, "bytes": [104, 111]}]
    assert events[-1]["response"]["top_logprobs"] == 1


def test_an_empty_answer_is_an_empty_message() -> None:
    [message] = streamed(Begun("assistant"), Text(""), Finished("stop"))[-1]["response"]["output"]
    assert message["content"] == []


@pytest.mark.parametrize("said", [0, 1, 2])
def test_a_stream_that_fails_is_whole_wherever_it_fails(said: int) -> None:
    made = encoder()
    deltas: list[Delta] = [Reasoning("hm"), Text("a")]
    stream = made.begin() + made.feed(deltas[:said]) + made.fail(EngineBroke("The engine ended."))
    events = checked(stream + made.fail(EngineBroke("again")) + made.cancel())
    assert kinds(events)[-2:] == ["error", "failed"]
    assert events[-2]["message"] == "The engine ended."
    assert events[-1]["response"]["error"] == {
        "code": "server_error",
        "message": "The engine ended.",
    }


def test_a_stream_that_fails_before_its_beginning_is_whole() -> None:
    made = encoder()
    events = checked(made.fail(QueueFull("Full.", 2.0)))
    assert kinds(events) == ["created", "in_progress", "error", "failed"]
    assert events[-1]["response"]["error"]["code"] == "rate_limit_exceeded"
    assert events[-2]["code"] == "queue_full"
    long = encoder().fail(ContextLengthExceeded("m", 9, 5)).decode()
    assert '"code":"context_length_exceeded"' in long.rsplit("response.failed", 1)[1]


def test_an_answer_without_an_end_has_failed() -> None:
    events = streamed(Text("a"))
    assert events[-1]["type"] == "response.failed"


def test_a_response_may_wait_and_be_cancelled() -> None:
    asked = read_request({"input": "hello", "background": True})
    made = ResponseEncoder(asked, IDENTITY, lambda: 1002.5, queued=True)
    stream = made.queue()
    assert made.status == "queued"
    stream += made.begin() + made.feed([Text("a")])
    assert made.status == "in_progress"
    events = checked(stream + made.cancel())
    assert kinds(events)[:3] == ["created", "queued", "in_progress"]
    assert [event["response"]["status"] for event in events[:3]] == [
        "queued",
        "queued",
        "in_progress",
    ]
    assert events[-1]["response"]["status"] == made.status == "cancelled"
    check_whole(made.resource())


def test_a_client_that_waits_gets_events() -> None:
    made = encoder()
    assert not made.begun
    stream = made.idle() + made.idle()
    assert made.begun
    assert not made.answering
    stream += made.begin() + made.idle() + made.feed([Text("a"), Finished("stop")])
    assert made.idle() == b""
    events = checked(stream + made.end())
    assert made.idle() == b""
    assert kinds(events)[:5] == ["created", *["in_progress"] * 4]


def test_later_counts_complete_earlier_ones() -> None:
    events = streamed(
        Counted(Told(7, 1, 2, None, None, None), 1, 1.5e-06),
        Text("a"),
        Counted(Told(None, 3, None, None, None, None)),
        Finished("stop"),
    )
    usage = events[-1]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (7, 3, 10)
    assert usage["input_tokens_details"]["cached_tokens"] == 2
    assert usage["output_tokens_details"]["reasoning_tokens"] == 1
    assert usage["cost"] == 1.5e-06


def a_delta(parts: Parts) -> Delta:
    kind = parts.below(6)
    if kind == 0:
        return Text(parts.text(3), ())
    if kind == 1:
        return Reasoning(parts.text(3) or "?")
    if kind == 2:
        return Refusal(parts.text(3) or "?")
    if kind == 3:
        name = parts.one_of(("f", "c", None))
        return ToolCall(parts.below(3), None, name, parts.one_of(("", "{}", "{")))
    return COUNTED if kind == 4 else Finished(parts.one_of(("stop", "length", "tool_calls")))


@given(
    deltas=from_bytes(lambda parts: parts.several(12, lambda: a_delta(parts))),
    fails=st.booleans(),
)
def test_whatever_the_engine_says_the_stream_is_well_formed(
    deltas: list[Delta], fails: bool
) -> None:
    made = encoder()
    stream = made.begin() + made.feed(deltas)
    checked(stream + (made.fail(EngineBroke("broken")) if fails else made.end()))


CHUNKS = [
    {"delta": {"role": "assistant", "content": None}},
    {"delta": {"reasoning_content": "hm 😉"}},
    {"delta": {"content": "grö"}},
    {"delta": {"content": "ße"}},
    {"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f"}}]}},
    {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": "€"}'}}]}},
    {"delta": {}, "finish_reason": "tool_calls"},
]
ENGINE = "".join(
    f"data: {json.dumps({'choices': [chunk]}, ensure_ascii=False)}\n\n" for chunk in CHUNKS
).encode()


def some_cuts(parts: Parts) -> set[int]:
    return {1 + parts.large(len(ENGINE) - 1) for _ in range(parts.below(41))}


@given(cuts=from_bytes(some_cuts, 100))
def test_bytes_of_an_engine_cut_anywhere_are_the_same_response(cuts: set[int]) -> None:
    reader, made = ChatStreamReader(), encoder()
    stream = made.begin()
    for start, end in pairwise(sorted({0, *cuts, len(ENGINE)})):
        stream += made.feed(reader.feed(ENGINE[start:end]))
    events = checked(stream + made.feed(reader.end()) + made.end())
    thoughts, message, call = events[-1]["response"]["output"]
    assert thoughts["content"][0]["text"] == "hm 😉"
    assert message["content"][0]["text"] == "größe"
    assert call["arguments"] == '{"a": "€"}'
