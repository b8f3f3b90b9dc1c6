"""What a request for speech asks for."""

from __future__ import annotations

from typing import Any

import pytest

from engine.piper.asked import Asked, asked_of
from utils.errors import BadRequest

ENCODED = ("mp3", "opus", "flac", "aac")


def test_the_defaults_are_those_of_openai() -> None:
    asked = asked_of({"input": "Hi. You.", "voice": "alloy", "model": "m"}, ENCODED)
    assert asked == Asked(("Hi.", "You."), "alloy", "mp3", 1.0, events=False)
    assert asked.content_type == "audio/mpeg"


def test_without_an_encoder_the_default_is_what_there_is() -> None:
    asked = asked_of({"input": "Hi."})
    assert (asked.format, asked.content_type) == ("wav", "audio/wav")
    with pytest.raises(BadRequest, match=r"install ffmpeg, or PyAV") as refused:
        asked_of({"input": "Hi.", "response_format": "mp3"})
    assert refused.value.param == "response_format"


def test_a_voice_may_be_an_object_and_a_stream_of_events() -> None:
    request = {"input": "Hi.", "voice": {"id": "joe"}, "stream_format": "sse", "speed": 2}
    asked = asked_of({**request, "response_format": "pcm"})
    assert (asked.voice, asked.format, asked.speed, asked.events) == ("joe", "pcm", 2.0, True)
    assert asked.content_type == "text/event-stream"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["Hi."]}, "input"),
        ({"input": "🙂"}, "input"),
        ({"voice": 3}, "voice"),
        ({"response_format": "midi"}, "response_format"),
        ({"response_format": ["wav"]}, "response_format"),
        ({"speed": 0.1}, "speed"),
        ({"speed": 5}, "speed"),
        ({"speed": True}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"stream_format": "websocket"}, "stream_format"),
    ],
)
def test_faults_are_named(more: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        asked_of({"input": "Hi.", **more}, ENCODED)
    assert refused.value.param == param
