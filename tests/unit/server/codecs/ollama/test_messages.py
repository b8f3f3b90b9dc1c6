"""server/codecs/ollama/messages.py: messages of a chat."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from server.codecs.ollama.messages import chat_messages, user_content
from utils.errors import BadRequest

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def messages(*given: Any) -> list[dict[str, Any]]:
    return chat_messages({"messages": list(given)})


def test_texts_and_thoughts() -> None:
    assert messages(
        {"role": "System", "content": "Be brief."},
        {"role": "user"},
        {"role": "assistant", "content": "4", "thinking": "2+2", "images": [], "tool_calls": []},
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "4", "reasoning_content": "2+2"},
    ]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(9), "image/jpeg"),
        (b"GIF89a" + bytes(9), "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"?", "image/jpeg"),
        (b"", ""),
    ],
)
def test_images_become_parts(head: bytes, kind: str) -> None:
    if not head:
        assert user_content("see", None) == user_content("see", []) == "see"
        return
    image = encoded(head)
    url = {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{image}"}}
    [message] = messages({"role": "user", "content": "see", "images": [image]})
    assert message["content"] == [{"type": "text", "text": "see"}, url]
    assert user_content("", [image, f"data:{kind};base64,{image}"]) == [url, url]


@pytest.mark.parametrize(
    ("head", "kind"), [(b"RIFF\0\0\0\0WAVEfmt ", "wav"), (b"ID3\x04", "mp3"), (b"\xff\xfb", "mp3")]
)
def test_sounds_become_parts(head: bytes, kind: str) -> None:
    sound = encoded(head)
    part = {"type": "input_audio", "input_audio": {"data": sound, "format": kind}}
    assert user_content("", [sound]) == [part]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}}


def test_tool_calls_and_their_results_get_the_same_ids_in_every_turn() -> None:
    turns = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "tool_calls": [call("weather", city="Rom"), call("time", zone=1)]},
        {"role": "tool", "content": "noon", "tool_name": "time"},
        {"role": "tool", "content": "sunny", "tool_name": "weather"},
        {"role": "assistant", "content": "", "tool_calls": [call("weather", city="Ulm")]},
        {"role": "tool", "content": "rain"},
    ]
    told = messages(*turns)
    first, second = told[1]["tool_calls"]
    assert first == {
        "id": "call00001",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Rom"}'},
    }
    assert json.loads(second["function"]["arguments"]) == {"zone": 1}
    noon = {"role": "tool", "content": "noon", "name": "time", "tool_call_id": second["id"]}
    assert told[2] == noon
    assert told[3]["tool_call_id"] == first["id"]
    [third] = told[4]["tool_calls"]
    assert told[5] == {"role": "tool", "content": "rain", "tool_call_id": third["id"]}
    assert len({first["id"], second["id"], third["id"]}) == 3
    # A prompt cache holds the earlier turns as they were.
    assert messages(*turns[:3]) == told[:3]


def test_ids_of_the_client_are_kept() -> None:
    given = call("weather") | {"id": "mine"}
    text = {"function": {"name": "f", "arguments": '{"a": 1}'}}
    told = messages(
        {"role": "assistant", "tool_calls": [call("weather"), given, text]},
        {"role": "tool", "content": "b", "tool_call_id": "mine"},
        {"role": "tool", "content": "c", "tool_call_id": "unknown"},
        {"role": "tool", "content": "a", "tool_name": "weather"},
    )
    calls = [each["id"] for each in told[0]["tool_calls"]]
    assert calls == ["call00001", "mine", "call00003"]
    assert told[0]["tool_calls"][2]["function"]["arguments"] == '{"a": 1}'
    assert [each["tool_call_id"] for each in told[1:]] == ["mine", "unknown", "call00001"]
    [alone] = messages({"role": "tool", "content": "x", "tool_name": "f"})
    assert alone == {"role": "tool", "content": "x", "name": "f"}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hello", "messages[0]"),
        ({"content": "x"}, "messages[0].role"),
        ({"role": 1}, "messages[0].role"),
        ({"role": "user", "content": ["x"]}, "messages[0].content"),
        ({"role": "user", "images": "AAAA"}, "messages[0].images"),
        ({"role": "user", "images": [1]}, "messages[0].images[0]"),
        ({"role": "user", "images": [""]}, "messages[0].images[0]"),
        ({"role": "user", "images": ["not base64"]}, "messages[0].images[0]"),
        ({"role": "user", "images": ["AAAAA"]}, "messages[0].images[0]"),
        ({"role": "user", "images": ["ÄÄÄÄ"]}, "messages[0].images[0]"),
        ({"role": "assistant", "tool_calls": {"a": 1}}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": ["f"]}, "messages[0].tool_calls[0]"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": [1]}}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"role": "tool", "tool_name": 1}, "messages[0].tool_name"),
    ],
)
def test_a_fault_is_named_by_its_place(message: Any, param: str) -> None:
    with pytest.raises(BadRequest) as fault:
        messages(message)
    assert fault.value.param == param
