"""models/routing/asked.py: what rules see of a request."""

from __future__ import annotations

from typing import Any

import pytest

from models.requests import endpoints
from models.routing.asked import LONGEST_TEXT, last_text, opening, read_asked
from utils.errors import BadRequest

IMAGE = {"type": "image_url", "image_url": {"url": "data:A"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "A"}}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 else list(content)}


def test_what_a_chat_needs() -> None:
    request = {"messages": [user("Hello"), user(IMAGE, SOUND)], "tools": [{"type": "function"}]}
    asked = read_asked(endpoints.CHAT, request)
    assert asked.needs == {"text", "vision", "audio", "tools"}
    assert (asked.endpoint, asked.text) == ("chat", "")
    assert asked.tokens > 2 * 1024


def test_what_other_endpoints_need() -> None:
    assert read_asked(endpoints.EMBEDDINGS, {"input": "a"}).needs == {"embeddings"}
    assert read_asked(endpoints.TRANSCRIPTION, {}).needs == {"audio"}
    assert read_asked(endpoints.AUXILIARY, {}).needs == frozenset()


@pytest.mark.parametrize(
    ("given", "voice"), [("amy", "amy"), ({"id": "amy"}, "amy"), (7, ""), (None, "")]
)
def test_the_voice_of_a_request_for_speech(given: Any, voice: str) -> None:
    request = {"input": "a", "voice": given}
    assert read_asked(endpoints.SPEECH, request).voice == voice
    assert not read_asked(endpoints.EMBEDDINGS, request).voice


@pytest.mark.parametrize(
    ("endpoint", "request_", "tokens"),
    [
        (endpoints.CHAT, {"messages": [user("x" * 400), user("y" * 40)]}, 110),
        (endpoints.COMPLETION, {"prompt": ["x" * 400, "x" * 800]}, 200),
        (endpoints.COMPLETION, {"prompt": [1, 2, 3]}, 3),
    ],
)
def test_the_estimate(endpoint: Any, request_: dict[str, Any], tokens: int) -> None:
    assert read_asked(endpoint, request_).tokens == tokens


def test_a_fault_is_told_before_a_model_is_chosen() -> None:
    with pytest.raises(BadRequest):
        read_asked(endpoints.CHAT, {"messages": "hello"})


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"messages": [user("a"), {"role": "assistant", "content": "b"}]}, "a"),
        ({"messages": [user({"type": "text", "text": "a"}, IMAGE, {"text": "b"})]}, "a\nb"),
        ({"messages": []}, ""),
        ({"messages": ["what", user(None)]}, ""),
        ({"prompt": "p"}, "p"),
        ({"input": ["p", "q"]}, "p\nq"),
        ({}, ""),
        ({"prompt": "x" * (LONGEST_TEXT + 1)}, "x" * LONGEST_TEXT),
    ],
)
def test_the_last_text(request_: dict[str, Any], text: str) -> None:
    assert last_text(request_) == text


def test_a_conversation_is_known_by_its_opening() -> None:
    system = {"role": "system", "content": "s"}
    first = [system, user("a")]
    later = [*first, {"role": "assistant", "content": "b"}, user("c")]
    assert opening({"messages": first}) == opening({"messages": later}) is not None
    assert opening({"messages": [system, user("b")]}) != opening({"messages": first})
    others: list[dict[str, Any]] = [{}, {"messages": "x"}, {"messages": []}, {"messages": [system]}]
    assert [opening(each) for each in others] == [None] * 4
