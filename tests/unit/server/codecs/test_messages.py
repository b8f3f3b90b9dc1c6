"""server/codecs/messages.py: answers as Anthropic's API promises them."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from calls import Collected
from hypothesis import given
from hypothesis import strategies as st

from server.codecs.messages import Blocks, MessagesSink, mended
from server.dialects import ANTHROPIC


def event(**data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (data["type"].encode(), json.dumps(data).encode())


TEXT = event(type="content_block_delta", delta={"type": "text_delta", "text": '"message_delta"'})
LAST = event(type="message_stop")


def end(reason: str, sequence: str | None) -> bytes:
    return event(type="message_delta", delta={"stop_reason": reason, "stop_sequence": sequence})


async def streamed(pieces: list[bytes]) -> bytes:
    inner = Collected()
    sink = MessagesSink(inner, ANTHROPIC.fault, stream=True)
    await sink.begin(200, {})
    for piece in pieces:
        await sink.write(piece)
    await sink.end()
    await sink.end()
    return inner.body


@given(data=st.data())
def test_a_stream_cut_anywhere_tells_the_sequence(data: st.DataObject) -> None:
    whole = TEXT + end("end_turn", "e") + LAST
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    edges = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    told = asyncio.run(streamed(pieces))
    delta = json.loads(told.split(b"\n\n")[1].partition(b"data: ")[2])["delta"]
    assert delta == {"stop_reason": "stop_sequence", "stop_sequence": "e"}
    assert told.startswith(TEXT)
    assert told.endswith(LAST)


@pytest.mark.parametrize(
    "told", [TEXT, end("end_turn", None), end("max_tokens", None), b'event: error\ndata: {"a":1}']
)
def test_other_events_stay(told: bytes) -> None:
    assert asyncio.run(streamed([told])) == told


@pytest.mark.parametrize(
    "fault",
    [
        b'data: {"error":{"code":400,"message":"m","type":"x"}}\n\n',
        b'event: error\ndata: {"code":400,"message":"m","type":"x"}\n\n',
        event(type="error", error={"type": "invalid_request_error", "message": "m"}),
    ],
)
def test_a_fault_of_the_engine_has_the_shape_of_the_api(fault: bytes) -> None:
    told = asyncio.run(streamed([TEXT, fault]))
    name, data = told.removeprefix(TEXT).decode().strip().split("\n")
    assert name == "event: error"
    error = {"type": "invalid_request_error", "message": "m"}
    assert json.loads(data.removeprefix("data: ")) == {"type": "error", "error": error}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"stop_reason": "end_turn", "stop_sequence": "e"}, "stop_sequence"),
        ({"stop_reason": "end_turn", "stop_sequence": None}, "end_turn"),
        ({"stop_reason": "tool_use", "stop_sequence": None}, "tool_use"),
    ],
)
async def test_a_whole_answer(body: dict[str, Any], reason: str) -> None:
    inner = Collected()
    sink = MessagesSink(inner, ANTHROPIC.fault, stream=False)
    # A long one comes in pieces.
    text = json.dumps(body).encode()
    await sink.begin(200, {"Content-Length": str(len(text))})
    await sink.write(text[:9])
    await sink.write(text[9:])
    assert not inner.begun
    await sink.end()
    assert json.loads(inner.body)["stop_reason"] == reason


async def test_what_is_no_answer_stays() -> None:
    inner = Collected()
    sink = MessagesSink(inner, ANTHROPIC.fault, stream=False)
    await sink.answer(200, {}, b"<html>")
    await sink.end()
    assert inner.body == b"<html>"
    assert not any(map(mended, (5, [], {"delta": 5}, {})))


def block(index: int, kind: str) -> bytes:
    return event(type="content_block_start", index=index, content_block={"type": kind})


def said(index: int, kind: str) -> bytes:
    return event(type="content_block_delta", index=index, delta={"type": kind})


def stop(index: int) -> bytes:
    return event(type="content_block_stop", index=index)


def kinds(events: bytes) -> list[tuple[str, int]]:
    found = [json.loads(e.partition(b"data: ")[2]) for e in events.split(b"\n\n") if e]
    return [(each["type"].removeprefix("content_block_"), each["index"]) for each in found]


THOUGHT = block(0, "thinking") + said(0, "thinking_delta")
SIGNED = said(0, "signature_delta") + stop(0)


def test_a_block_ends_before_the_next_begins() -> None:
    told = Blocks(ANTHROPIC.fault).told(
        THOUGHT + block(1, "text") + said(1, "text_delta") + SIGNED + stop(1)
    )
    assert kinds(told) == [
        ("start", 0),
        ("delta", 0),
        ("delta", 0),
        ("stop", 0),
        ("start", 1),
        ("delta", 1),
        ("stop", 1),
    ]
    assert told.count(b"signature_delta") == 1


@pytest.mark.parametrize(
    "events",
    [
        THOUGHT + SIGNED + block(1, "text") + said(1, "text_delta") + stop(1),
        block(0, "text") + stop(0) + block(1, "tool_use") + stop(1),
        event(type="content_block_start", index="x"),
    ],
)
def test_blocks_in_order_stay(events: bytes) -> None:
    assert Blocks(ANTHROPIC.fault).told(events) == events
