"""The request that only reads; how it gives way is shown by tests/gateway/test_voice_models.py."""

from __future__ import annotations

import orjson

from inference.read_ahead import without_answer


def test_it_has_the_same_prompt_and_no_answer() -> None:
    prompt = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [{}]}
    asked = {**prompt, "max_tokens": 9, "max_completion_tokens": 9, "n_predict": 9, "n": 2}
    streamed = {**asked, "stream": True, "stream_options": {"include_usage": True}}
    expected = {**prompt, "max_tokens": 0}
    assert orjson.loads(without_answer(streamed)) == expected
    assert orjson.loads(without_answer(prompt)) == expected
