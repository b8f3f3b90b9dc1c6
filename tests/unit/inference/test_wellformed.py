"""inference/wellformed.py: streams that lack their beginning or their end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.wellformed import Answer, missing_beginning, missing_end
from models.requests.endpoints import CHAT, COMPLETION, EMBEDDINGS, MESSAGES, Endpoint
from utils.sse import events_of

ANSWER = Answer("msg_1", "m", 7)
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: %b\n\n" % json.dumps({"id": "a", "choices": [choice], **more}).encode()


def named(kind: str, **more: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **more}).encode())


ROLE = chunk({"role": "assistant", "content": None})
WORD = chunk({"content": "😉"}, model="x", usage={"prompt_tokens": 5})
NO_CHOICE = b'data: {"choices":[],"prompt_progress":{}}\n\n'
START = named("message_start", message={"id": "x"})
BLOCK = named("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = named("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"})
THOUGHT = named("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "a"})
GOOD = [
    (CHAT, ROLE + WORD),
    (CHAT, NO_CHOICE + ROLE),
    (CHAT, b": comment\n\n" + ROLE),
    (CHAT, b'data: {"error":{"message":"no"}}\n\n'),
    (CHAT, DONE),
    (CHAT, ROLE.replace(b"\n", b"\r\n")),
    (MESSAGES, START + BLOCK),
    (MESSAGES, named("ping") + START),
    (MESSAGES, named("error", error={})),
    (MESSAGES, named("unheard_of")),
    (COMPLETION, b'data: {"choices":[{"text":"a"}]}\n\n'),
    (EMBEDDINGS, b"anything"),
]


@pytest.mark.parametrize(("endpoint", "first"), GOOD)
def test_a_good_beginning_stays(endpoint: Endpoint, first: bytes) -> None:
    assert missing_beginning(endpoint, first, ANSWER) == b""


def test_a_chat_without_a_role_gets_it() -> None:
    missing = missing_beginning(CHAT, NO_CHOICE + WORD, ANSWER)
    (event,) = events_of(missing or b"")
    assert event.json() == {
        "id": "a",
        "model": "x",
        "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        ],
    }


@pytest.mark.parametrize(
    ("first", "begun"),
    [
        (BLOCK + TEXT, ["message_start"]),
        (named("message_delta", delta={}), ["message_start"]),
        (TEXT, ["message_start", "content_block_start"]),
        (THOUGHT, ["message_start", "content_block_start"]),
    ],
)
def test_a_message_without_a_start_gets_it(first: bytes, begun: list[str]) -> None:
    events = [
        event.json() or {} for event in events_of(missing_beginning(MESSAGES, first, ANSWER) or b"")
    ]
    assert [event["type"] for event in events] == begun
    message = events[0]["message"]
    assert (message["id"], message["model"], message["usage"]["input_tokens"]) == ("msg_1", "m", 7)
    if first is THOUGHT:
        assert events[1]["content_block"]["type"] == "thinking"


@given(
    case=st.sampled_from([*GOOD, (CHAT, NO_CHOICE + WORD), (MESSAGES, BLOCK + TEXT), (CHAT, WORD)]),
    data=st.data(),
)
def test_wherever_the_bytes_are_cut_the_result_is_the_same(
    case: tuple[Endpoint, bytes], data: st.DataObject
) -> None:
    endpoint, whole = case
    cut = data.draw(st.integers(0, len(whole)))
    found = missing_beginning(endpoint, whole[:cut], ANSWER)
    assert found in (None, missing_beginning(endpoint, whole, ANSWER))


def test_a_beginning_without_an_end_is_passed_on() -> None:
    assert missing_beginning(CHAT, b"data: {" + b" " * 70_000, ANSWER) == b""


@pytest.mark.parametrize(
    ("endpoint", "tail", "missing"),
    [
        (CHAT, WORD + DONE, b""),
        (COMPLETION, WORD + DONE.strip(), b""),
        (CHAT, (WORD + DONE).replace(b"\n", b"\r\n"), b""),
        (CHAT, WORD + FINISH, DONE),
        (CHAT, (WORD + FINISH).rstrip(), b"\n\n" + DONE),
        (CHAT, WORD + FINISH + b'data: {"choices":[],"usage":{}}\n\n', DONE),
        (CHAT, WORD, None),
        (CHAT, b"", None),
        (COMPLETION, b'data: {"content":"","stop":true}\n\n', b""),
        (COMPLETION, b'data: {"content":"a","stop":false}\n\n', None),
        (CHAT, WORD + b'data: {"error":{"message":"no"}}\n\n', b""),
        (CHAT, WORD + b'error: {"message":"no"}\n\n', b""),
        (MESSAGES, named("message_delta") + named("message_stop"), b""),
        (MESSAGES, TEXT + named("error", error={}), b""),
        (MESSAGES, named("message_delta"), named("message_stop").replace(b': "', b':"')),
        (MESSAGES, TEXT, None),
        (MESSAGES, b"", None),
        (EMBEDDINGS, b"x", b""),
    ],
)
def test_the_end_that_a_stream_lacks(
    endpoint: Endpoint, tail: bytes, missing: bytes | None
) -> None:
    assert missing_end(endpoint, tail) == missing
