"""server/codecs/messages/encoder.py: every stream and every message is one of Anthropic's API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from json_values import Parts, from_bytes
from sdk_types import sdk_type
from stream_schema import check_stream

from inference.usage import Told
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
from server.codecs.messages.blocks import sealed
from server.codecs.messages.encoder import Identity, MessagesEncoder
from utils.errors import ContextLengthExceeded, EngineRefused

_MESSAGE = sdk_type("anthropic.types.message", "Message")
BEGUN = Begun("assistant")
COUNTED = Counted(Told(10, 4, 6, None, None, None))
USAGE = {
    "input_tokens": 4,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 6,
    "output_tokens": 4,
}


def encoder(**wishes: Any) -> MessagesEncoder:
    return MessagesEncoder(Identity("msg_1", "m"), lambda: 12, **wishes)


def streamed(*deltas: Delta, **wishes: Any) -> list[Any]:
    made = encoder(**wishes)
    stream = made.begin() + b"".join(made.feed([each]) for each in deltas) + made.end()
    check_stream("/v1/messages", made.content_type, stream)
    return [json.loads(each.partition(b"data: ")[2]) for each in stream.split(b"\n\n")[:-1]]


def whole(*deltas: Delta, **wishes: Any) -> Any:
    made = encoder(**wishes)
    made.feed(deltas)
    message = json.loads(made.whole())
    _MESSAGE.model_validate(message, strict=True)
    return message


def kinds(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]


def both(*deltas: Delta, **wishes: Any) -> tuple[list[Any], str, str | None]:
    """Return the blocks, the reason and the sequence, which are the same in both forms."""
    message, events = whole(*deltas, **wishes), streamed(*deltas, **wishes)
    blocks: list[Any] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        if event["type"] == "content_block_delta":
            delta = event["delta"]
            field = {"input_json_delta": "partial_json"}.get(
                delta["type"], delta["type"].removesuffix("_delta")
            )
            blocks[-1][field] = blocks[-1].get(field, "") + delta[field]
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block.pop("partial_json", "{}"))
    ended = events[-2]["delta"]
    assert blocks == message["content"]
    assert ended == {name: message[name] for name in ("stop_reason", "stop_sequence")}
    assert events[-2]["usage"] == message["usage"]
    return blocks, message["stop_reason"], message["stop_sequence"]


def test_a_text() -> None:
    deltas = (BEGUN, COUNTED, Text("he"), Text("llo"), Finished("stop"), COUNTED)
    events = streamed(*deltas)
    assert kinds(events) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    message = events[0]["message"]
    assert (message["id"], message["model"], message["content"]) == ("msg_1", "m", [])
    assert message["usage"] == USAGE | {"output_tokens": 0}
    assert events[-2]["usage"] == USAGE
    assert both(*deltas) == ([{"type": "text", "text": "hello"}], "end_turn", None)


def test_counts_of_the_same_event_stand_at_the_beginning() -> None:
    made = encoder()
    assert made.feed([BEGUN]) == b""
    assert b'"input_tokens":4' in made.feed([Text("a"), COUNTED])


def test_without_counts_the_beginning_has_what_the_gateway_knows() -> None:
    events = streamed(BEGUN, Text("a"), Finished("stop"), COUNTED)
    assert events[0]["message"]["usage"]["input_tokens"] == 12
    assert events[-2]["usage"] == USAGE
    told = Counted(Told(10, 4, None, None, None, None), reasoning=3, cost=1.5e-06)
    usage = whole(Text("a"), Finished("stop"), told)["usage"]
    assert usage["output_tokens_details"] == {"thinking_tokens": 3}
    assert usage["cost"] == 1.5e-06
    events = streamed(BEGUN, told, Text("a"), Finished("stop"))
    assert "cost" not in events[0]["message"]["usage"], "it is known at the end"
    assert events[-2]["usage"]["cost"] == 1.5e-06


def test_an_answer_of_nothing_is_an_empty_text() -> None:
    assert both(BEGUN, Finished("stop"))[0] == [{"type": "text", "text": ""}]


def test_thoughts_have_a_signature() -> None:
    deltas = (Reasoning("hm"), Reasoning(", well"), Text("ok"), Finished("stop"))
    blocks, _, _ = both(*deltas)
    signature = blocks[0].pop("signature")
    assert signature
    assert blocks == [{"type": "thinking", "thinking": "hm, well"}, {"type": "text", "text": "ok"}]
    blocks, _, _ = both(*deltas, omitted=True)
    kept = {"type": "thinking", "thinking": "", "signature": sealed("hm, well")}
    assert blocks == [kept, {"type": "text", "text": "ok"}]


def test_calls_follow_one_another() -> None:
    deltas = (
        Text("now"),
        ToolCall(0, "t0", "f", '{"a"'),
        ToolCall(0, None, None, ":1}"),
        ToolCall(1, None, "g", ""),
        Finished("tool_calls"),
    )
    blocks, reason, _ = both(*deltas)
    assert reason == "tool_use"
    assert blocks == [
        {"type": "text", "text": "now"},
        {"type": "tool_use", "id": "t0", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "toolu_1_2", "name": "g", "input": {}},
    ]


def test_calls_may_not_be_mixed() -> None:
    made = encoder()
    made.feed([ToolCall(0, "a", "f", "{"), ToolCall(1, "b", "f", "{}")])
    with pytest.raises(EngineRefused, match="mixes"):
        made.feed([ToolCall(0, None, None, "}")])


def test_a_call_that_a_limit_has_cut_is_left_out() -> None:
    cut = (Text("now"), ToolCall(0, "t", "f", '{"a'))
    assert whole(*cut, Finished("length"))["content"] == [{"type": "text", "text": "now"}]
    with pytest.raises(EngineRefused, match="no JSON"):
        whole(*cut, Finished("tool_calls"))


@pytest.mark.parametrize(
    ("finished", "reason", "sequence"),
    [
        (Finished("stop"), "end_turn", None),
        (Finished("length"), "max_tokens", None),
        (Finished("content_filter"), "refusal", None),
        (Finished("stop", "END"), "stop_sequence", "END"),
        (Finished("stop", "<|im_end|>"), "end_turn", None),
        (Finished("strange"), "end_turn", None),
    ],
)
def test_reasons(finished: Finished, reason: str, sequence: str | None) -> None:
    assert both(Refusal("no"), finished, stops=("END",))[1:] == (reason, sequence)


def test_calls_are_the_reason_where_an_engine_names_none() -> None:
    assert both(ToolCall(0, "t", "f", "{}"), Finished("stop"))[1] == "tool_use"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["Once", " upon", " a time"], " a time"),
        (["Once upon a", " time"], " a time"),
        (["a", " time"], "a time"),
        (["Once", " more"], "Once more"),
        (["Once"], "Once"),
        (["Once upon"], ""),
    ],
)
def test_what_the_client_has_begun_is_not_repeated(said: list[str], told: str) -> None:
    [block], _, _ = both(*map(Text, said), Finished("stop"), begun="Once upon")
    assert block["text"] == told


def test_a_fault_ends_a_stream_by_an_error() -> None:
    made = encoder()
    stream = made.idle() + made.feed([Text("a")])
    stream += made.fail(ContextLengthExceeded("m", 20, 10))
    check_stream("/v1/messages", made.content_type, stream, cut=True)
    assert b"prompt is too long: 20 tokens > 10 maximum" in stream


def a_delta(parts: Parts) -> Any:
    kind = parts.below(5)
    if kind == 0:
        return Text(parts.text(3), ())
    if kind < 3:
        return (Reasoning, Refusal)[kind - 1](parts.text(3))
    return (COUNTED, BEGUN)[kind - 3]


@given(
    deltas=from_bytes(lambda parts: parts.several(8, lambda: a_delta(parts)), 48),
    calls=st.integers(0, 3),
    begun=st.text(max_size=3),
)
def test_any_answer_is_a_stream_and_a_message(deltas: list[Any], calls: int, begun: str) -> None:
    called = [ToolCall(number, None, "f", '{"a":1}') for number in range(calls)]
    both(*deltas, *called, Finished("stop"), begun=begun)
