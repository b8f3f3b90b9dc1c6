"""server/codecs/ollama/answers.py: every line of a stream, and whole answers.

Each line must be one that Ollama's own client for Python understands.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdk_types import sdk_type

from server.codecs.chat_reader import ChatStreamReader, read_whole
from server.codecs.ollama.answers import ChatEncoder, GenerateEncoder
from utils.errors import EngineRefused, GatewayError

if TYPE_CHECKING:
    from collections.abc import Iterable

WHEN = "2026-01-02T03:04:05.678901Z"
TIMINGS = {"prompt_n": 3, "cache_n": 4, "prompt_ms": 1.5, "predicted_n": 2, "predicted_ms": 20.25}
ENCODERS: dict[type[GenerateEncoder], tuple[Any, str]] = {
    ChatEncoder: (sdk_type("ollama._types", "ChatResponse"), "message"),
    GenerateEncoder: (sdk_type("ollama._types", "GenerateResponse"), "response"),
}


class Times:
    def now(self) -> str:
        return WHEN

    def total(self) -> float:
        return 2.5

    def loading(self) -> float:
        return 0.25


def data(*events: dict[str, Any]) -> bytes:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def delta(finish: str | None = None, more: Any = None, **said: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": said, "finish_reason": finish, **(more or {})}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def call(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    given = {"id": f"id{index}"} if name else {}
    return {"index": index, "type": "function", "function": function, **given}


SAID = data(
    delta(role="assistant", content=None),
    delta(reasoning_content="hm "),
    delta(content="Grüß "),
    delta(content="dich 😉"),
    delta(tool_calls=[call(0, '{"city": ', "weather")]),
    delta(tool_calls=[call(1, "", "now"), call(0, '"Rom"}')]),
    delta("tool_calls"),
    {"choices": [], "timings": TIMINGS, "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
)
CALLS = [
    {"id": "id0", "function": {"index": 0, "name": "weather", "arguments": {"city": "Rom"}}},
    {"id": "id1", "function": {"index": 1, "name": "now", "arguments": {}}},
]
DONE = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 2_500_000_000,
    "load_duration": 250_000_000,
    "prompt_eval_count": 7,
    "prompt_eval_duration": 1_500_000,
    "eval_count": 2,
    "eval_duration": 20_250_000,
}


def streamed(encoder: GenerateEncoder, chunks: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return the lines, checked with the client's own types."""
    reader = ChatStreamReader()
    written = encoder.begin()
    for chunk in chunks:
        written += encoder.feed(reader.feed(chunk))
    written += encoder.feed(reader.end()) + encoder.end()
    assert written.endswith(b"\n")
    lines = [json.loads(each) for each in written.splitlines()]
    kind, field = ENCODERS[type(encoder)]
    for each in lines:
        checked = kind.model_validate(each)
        assert (checked.model, checked.created_at) == ("m:latest", WHEN)
        assert each.keys() >= {"model", "created_at", "done", field}
    assert [each["done"] for each in lines] == [False] * (len(lines) - 1) + [True]
    return lines


@given(st.data())
def test_a_chat_in_pieces_cut_anywhere(draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.sets(st.integers(1, len(SAID) - 1), max_size=9)))
    edges = [0, *cuts, len(SAID)]
    chunks = [SAID[a:b] for a, b in pairwise(edges)]
    head = {"model": "m:latest", "created_at": WHEN, "done": False}
    assert streamed(ChatEncoder("m:latest", Times()), chunks) == [
        {**head, "message": {"role": "assistant", "content": "", "thinking": "hm "}},
        {**head, "message": {"role": "assistant", "content": "Grüß "}},
        {**head, "message": {"role": "assistant", "content": "dich 😉"}},
        {**head, "message": {"role": "assistant", "content": "", "tool_calls": CALLS}},
        {**head, "message": {"role": "assistant", "content": ""}, **DONE},
    ]


def test_a_generated_text_as_a_stream() -> None:
    lines = streamed(GenerateEncoder("m:latest", Times()), [SAID])
    assert [each["response"] for each in lines] == ["", "Grüß ", "dich 😉", "", ""]
    assert lines[0]["thinking"] == "hm "
    assert lines[-1].items() >= DONE.items()


@pytest.mark.parametrize("kind", [ChatEncoder, GenerateEncoder])
def test_a_whole_answer(kind: type[GenerateEncoder]) -> None:
    encoder = kind("m:latest", Times())
    calls = [call(0, '{"city":"Rom"}', "weather"), call(1, "", "now")]
    message = {"role": "assistant", "content": "hi", "reasoning_content": "hm", "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    encoder.feed(read_whole(json.dumps({"choices": [choice], "timings": TIMINGS}).encode()))
    whole = json.loads(encoder.whole())
    own, _ = ENCODERS[kind]
    own.model_validate(whole)
    said = {"thinking": "hm", "tool_calls": CALLS}
    expected = (
        {"message": {"role": "assistant", "content": "hi", **said}}
        if kind is ChatEncoder
        else {"response": "hi", **said}
    )
    assert whole == {"model": "m:latest", "created_at": WHEN, **expected, **DONE}


def test_a_text_completion() -> None:
    events = [
        {"choices": [{"index": 0, "text": text, "finish_reason": reason}], "timings": timings}
        for text, reason, timings in (("one ", None, None), ("two", "length", TIMINGS))
    ]
    lines = streamed(GenerateEncoder("m:latest", Times()), [data(*events)])
    assert [each["response"] for each in lines] == ["one ", "two", ""]
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("length", 2)


def test_counts_are_left_out_if_the_engine_told_none() -> None:
    said = data(delta(content="hi"), delta("stop"), {"choices": [], "usage": None})
    [_, last] = streamed(ChatEncoder("m:latest", Times()), [said])
    assert last.keys() == {
        *("model", "created_at", "message", "done", "done_reason"),
        *("total_duration", "load_duration"),
    }


TOKEN = {"id": 5, "token": "hi", "bytes": [104, 105], "logprob": -0.5}
OTHER = {"id": 6, "token": "ho", "bytes": [104, 111], "logprob": -1.5}


@pytest.mark.parametrize("top", [0, 1, 2])
def test_logprobs(top: int) -> None:
    told = {"logprobs": {"content": [{**TOKEN, "top_logprobs": [TOKEN, OTHER]}]}}
    said = data(delta(more=told, content="hi"), delta("stop"))
    first, last = streamed(ChatEncoder("m:latest", Times(), top), [said])
    shown = [{k: v for k, v in each.items() if k != "id"} for each in (TOKEN, OTHER)]
    alternatives = {"top_logprobs": shown[:top]} if top else {}
    assert first["logprobs"] == [{**shown[0], **alternatives}]
    assert "logprobs" not in last
    encoder = GenerateEncoder("m", Times(), top)
    encoder.feed(ChatStreamReader().feed(said))
    assert json.loads(encoder.whole())["logprobs"] == first["logprobs"]


def test_a_stream_that_fails_ends_with_an_error() -> None:
    encoder = ChatEncoder("m", Times())
    assert encoder.fail(GatewayError("The engine broke.")) == b'{"error":"The engine broke."}\n'


def test_a_line_without_text_for_a_client_that_waits() -> None:
    head = {"model": "m", "created_at": WHEN, "done": False}
    message = {"role": "assistant", "content": ""}
    assert json.loads(ChatEncoder("m", Times()).idle()) == {**head, "message": message}
    assert json.loads(GenerateEncoder("m", Times()).idle()) == {**head, "response": ""}


def test_arguments_that_are_no_object() -> None:
    for text in ('["Rom"]', "Rom", '{"city":'):
        said = data(delta(tool_calls=[call(0, text, "weather")]), delta("tool_calls"))
        with pytest.raises(EngineRefused, match="the tool 'weather' with arguments that are no"):
            streamed(ChatEncoder("m:latest", Times()), [said])


def test_a_call_that_a_limit_cut_is_left_out() -> None:
    calls = [call(0, "{}", "now"), call(1, '{"city":', "weather")]
    lines = streamed(
        ChatEncoder("m:latest", Times()), [data(delta(tool_calls=calls), delta("length"))]
    )
    [first] = lines[0]["message"]["tool_calls"]
    assert first["function"]["name"] == "now"
    assert lines[-1]["done_reason"] == "length"


def test_a_refusal_is_text() -> None:
    lines = streamed(ChatEncoder("m:latest", Times()), [data(delta(refusal="No."), delta("stop"))])
    assert lines[0]["message"]["content"] == "No."
