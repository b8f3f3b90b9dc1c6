"""inference/finish.py: why an answer ended."""

from __future__ import annotations

import json

import pytest

from inference.finish import finish_reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b'data: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', "stop"),
        (b'{"choices":[{"finish_reason":null}]}', None),
        (b'{"choices":[{"finish_reason": "tool_calls"}]}', "tool_calls"),
        (b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}', "stop"),
        (b'data: {"delta":{"stop_reason":"max_tokens"}}', "length"),
        (b'{"stop_type":"limit","content":""}', "length"),
        (b"", None),
        (b'{"error":{"message":"no"}}', None),
    ],
)
def test_each_api_s_word_is_openai_s(answer: bytes, reason: str | None) -> None:
    assert finish_reason(answer) == reason


@pytest.mark.parametrize("before", [True, False])
def test_a_long_answer_is_searched_at_both_ends(before: bool) -> None:
    message = {"content": "x" * 50_000}
    choice = {"finish_reason": "length", "message": message}
    if not before:
        choice = {"message": message, "finish_reason": "length"}
    assert finish_reason(json.dumps({"choices": [choice]}).encode()) == "length"


def test_text_cannot_imitate_it() -> None:
    text = '"finish_reason":"forged"'
    answer = {"choices": [{"finish_reason": "stop", "message": {"content": text}}]}
    assert finish_reason(json.dumps(answer).encode()) == "stop"
