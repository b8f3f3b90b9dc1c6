"""accounts/ending.py: streams that end because of money are whole, as their API has it."""

from __future__ import annotations

import pytest
from stream_schema import check_stream

from accounts.ending import ending
from models.requests.endpoints import CHAT, COMPLETION, INFILL, MESSAGES
from utils.sse import Event

_SHARED = '"id":"c","object":"chat.completion.chunk","created":1,"model":"m"'


def test_a_chat_ends_by_its_length() -> None:
    path = "/v1/chat/completions"
    begun = (
        f'data: {{{_SHARED},"choices":[{{"index":0,"delta":{{"role":"assistant","content":""}},'
        '"finish_reason":null}]}\n\n'
        f'data: {{{_SHARED},"choices":[{{"index":0,"delta":{{"content":"hi"}},'
        '"finish_reason":null}]}\n\n'
    ).encode()
    end = ending(CHAT, path, begun, begun, 1)
    check_stream(path, "text/event-stream", begun + end)
    assert end.startswith(b": the balance is used up\n\n")
    assert b'"id":"c"' in end
    assert b'"finish_reason":"length"' in end


def test_a_completion_ends_by_its_length() -> None:
    begun = b'data: {"id":"c","object":"text_completion","choices":[{"index":0,"text":"a"}]}\n\n'
    end = ending(COMPLETION, "/v1/completions", begun, begun, 1)
    assert end.endswith(b'"text":"","logprobs":null}]}\n\ndata: [DONE]\n\n')
    own = ending(COMPLETION, "/completion", begun, begun, 1)
    assert b'"stop_type":"limit"' in own
    assert b"[DONE]" not in own


@pytest.mark.parametrize("block", [0, 1, None])
def test_messages_end_by_their_limit(block: int | None) -> None:
    delta = {"type": "content_block_delta", "index": block or 0, "delta": {}}
    tail = b'cut off"}\n\n' + Event.of(delta, named=True).raw
    if block is None:
        tail += Event.of({"type": "content_block_stop", "index": 0}, named=True).raw
    end = ending(MESSAGES, "/v1/messages", b"", tail, 7)
    stop = b'"type":"content_block_stop","index":%d' % (block or 0)
    assert (stop in end) is (block is not None)
    assert b'"stop_reason":"max_tokens"' in end
    assert b'"output_tokens":7' in end
    assert end.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def test_of_other_apis_nothing_is_made_up() -> None:
    assert ending(INFILL, "/infill", b"", b"", 1) == b": the balance is used up\n\n"
