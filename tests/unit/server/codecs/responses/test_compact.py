"""server/codecs/responses/compact.py: a conversation becomes one summary."""

from __future__ import annotations

from typing import Any

import pytest

from server.codecs.responses.compact import compacted, summary_request
from server.codecs.responses.items import messages_of
from server.codecs.responses.request import read_request
from utils.errors import BadRequest, EngineRefused


def response(text: str) -> Any:
    part = {"type": "output_text", "text": text}
    thoughts = {"type": "reasoning", "summary": []}
    said = {"type": "message", "role": "assistant", "content": [part]}
    return {"output": [thoughts, said], "created_at": 5, "usage": {"total_tokens": 9}}


@pytest.mark.parametrize(
    ("given", "count"),
    [("hi", 2), (None, 1), ([{"role": "user", "content": "hi"}, {"type": "x"}], 3)],
)
def test_the_wish_is_the_last_of_the_input(given: Any, count: int) -> None:
    made = summary_request({"model": "m", "input": given, "store": True, "tools": [1]})
    assert len(made["input"]) == count
    assert "Summarize" in made["input"][-1]["content"]
    assert (made["model"], made["store"], "tools" in made) == ("m", False, False)


def test_another_input_is_left_to_the_reader() -> None:
    with pytest.raises(BadRequest, match="input"):
        read_request(summary_request({"input": 5}))


def test_user_messages_and_a_summary_are_left() -> None:
    asked = read_request(
        summary_request(
            {"input": [{"role": "user", "content": "b"}, {"type": "item_reference", "id": "x"}]}
        )
    )
    earlier = read_request(
        {"input": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "A"}]}
    )
    made = compacted(response("it was so"), "resp_1", earlier.items, asked.items)
    assert (made["id"], made["object"], made["created_at"]) == ("resp_1", "response.compaction", 5)
    said = messages_of(None, read_request({"input": made["output"]}).items)
    assert [message["content"] for message in said[:2]] == ["a", "b"]
    assert said[2]["role"] == "user"
    assert said[2]["content"].endswith("\n\nit was so")


def test_without_a_summary_nothing_is_lost() -> None:
    with pytest.raises(EngineRefused, match="no summary"):
        compacted(response(" "), "resp_1", [], [{}])


@pytest.mark.parametrize("content", [None, "", "AAAA", "dGhvdWdodHM6eA=="])
def test_a_summary_of_another_service_is_refused(content: Any) -> None:
    item = {"type": "compaction", "encrypted_content": content}
    with pytest.raises(BadRequest, match="cannot be read"):
        messages_of(None, read_request({"input": [item]}).items)
