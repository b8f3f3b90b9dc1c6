"""Transcripts in the formats of OpenAI, made from what whisper-server says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.whisper.asked import Asked
from engine.whisper.transcript import content_type, transcript_of, words_of, written
from utils.sse import events_of

SAID: dict[str, Any] = {
    "task": "transcribe",
    "language": "english",
    "duration": 3661.5,
    "text": " Call my mother at seven o'\nclock tonight.\n",
    "segments": [
        {
            "id": 0,
            "text": " Call my mother at seven o'",
            "start": 0.0,
            "end": 1.58,
            "tokens": [4889, 616],
            "temperature": 0.0,
            "avg_logprob": -0.25,
            "no_speech_prob": 0.01,
            "words": [
                {"word": " Call", "start": 0.0, "end": 0.3, "probability": 0.9},
                {"word": " mo", "start": 0.3, "end": 0.5},
                {"word": "ther", "start": 0.5, "end": 0.8},
            ],
        },
        {
            "id": 1,
            "text": "clock tonight.",
            "start": 1.58,
            "end": 3661.5,
            "words": [
                {"word": "clock", "start": 1.6, "end": 2.0},
                {"word": " tonight", "start": 2.0, "end": 2.5},
                {"word": ".", "start": 2.5, "end": 2.4},
            ],
        },
    ],
}
TEXT = "Call my mother at seven o' clock tonight."
HEARD = transcript_of(json.dumps(SAID).encode())


def body(**asked: Any) -> str:
    return written(HEARD, Asked(**asked)).decode()


def test_json_has_the_text_in_one_line() -> None:
    usage = {"type": "duration", "seconds": 3661.5}
    assert json.loads(body()) == {"text": TEXT, "usage": usage}


def test_text() -> None:
    assert body(format="text") == TEXT + "\n"


def test_subtitles() -> None:
    assert body(format="srt") == (
        "1\n00:00:00,000 --> 00:00:01,580\nCall my mother at seven o'\n\n"
        "2\n00:00:01,580 --> 01:01:01,500\nclock tonight.\n\n"
    )
    assert body(format="vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.580\nCall my mother at seven o'\n\n"
        "00:00:01.580 --> 01:01:01.500\nclock tonight.\n\n"
    )


def test_verbose_json() -> None:
    told = json.loads(body(format="verbose_json"))
    assert (told["task"], told["language"], told["duration"]) == ("transcribe", "english", 3661.5)
    assert told["text"] == TEXT
    assert "words" not in told
    assert told["segments"][0] == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.58,
        "text": " Call my mother at seven o'",
        "tokens": [4889, 616],
        "temperature": 0.0,
        "avg_logprob": -0.25,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
    }
    words = json.loads(body(format="verbose_json", words=True, segments=False, translate=True))
    assert "segments" not in words
    assert words["task"] == "translate"
    assert [word["word"] for word in words["words"]] == ["Call", "mother", "clock", "tonight."]


def test_pieces_of_a_word_are_joined_with_their_times() -> None:
    call, mother, _, tonight = words_of(HEARD.segments)
    assert (call["start"], mother["start"], mother["end"]) == (0.0, 0.3, 0.8)
    # The engine may end a point before the word in front of it.
    assert tonight == {"word": "tonight.", "start": 2.0, "end": 2.5}


def test_a_stream_of_deltas_is_the_text() -> None:
    events = [event.json() for event in events_of(body(stream=True).encode())]
    assert all(event is not None for event in events)
    kinds = [event["type"] for event in events if event]
    assert kinds == [*["transcript.text.delta"] * 2, "transcript.text.done"]
    assert "".join(event["delta"] for event in events[:-1] if event) == TEXT
    assert events[-1] is not None
    assert events[-1]["text"] == TEXT


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (Asked(), "application/json"),
        (Asked("text"), "text/plain; charset=utf-8"),
        (Asked("srt"), "application/x-subrip; charset=utf-8"),
        (Asked("vtt"), "text/vtt; charset=utf-8"),
        (Asked("text", stream=True), "text/event-stream"),
    ],
)
def test_content_types(asked: Asked, kind: str) -> None:
    assert content_type(asked) == kind


@pytest.mark.parametrize("answer", [b"", b"[]", b"Invalid request", b'{"text": "a"}'])
def test_what_is_no_transcript(answer: bytes) -> None:
    with pytest.raises(ValueError):
        transcript_of(answer)


def test_no_time_is_beyond_the_end_of_the_sound() -> None:
    word = {"word": " Hi.", "start": 0.2, "end": 7.0}
    segment = {"text": " Hi.", "start": 0.0, "end": 7.0, "words": [word]}
    late = {"text": " there", "start": 7.0, "end": 8.0}
    said = {"segments": [segment, late], "duration": 1.5, "language": "en"}
    told = json.loads(
        written(transcript_of(json.dumps(said).encode()), Asked("verbose_json", words=True))
    )
    assert [(each["start"], each["end"]) for each in told["segments"]] == [(0.0, 1.5), (1.5, 1.5)]
    assert told["words"] == [{"word": "Hi.", "start": 0.2, "end": 1.5}]


def test_silence_has_no_segments() -> None:
    silence = transcript_of(b'{"segments": [], "duration": 1.0, "language": "en"}')
    assert written(silence, Asked("srt")) == b""
    assert json.loads(written(silence, Asked()))["text"] == ""
    [only] = events_of(written(silence, Asked(stream=True)))
    assert b"transcript.text.done" in only.raw
