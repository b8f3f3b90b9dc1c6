"""The messages of the Live Voice API; most are in the test of the whole gateway."""

from __future__ import annotations

import pytest

from utils.errors import BadRequest
from voice.live.messages import Close, EndTurn, Interrupt, Ping, Sound, command_of, written
from voice.told import (
    Began,
    Complete,
    Interrupted,
    NotCalled,
    Problem,
    Reply,
    Speech,
    SpeechStarted,
    SpeechStopped,
    Text,
    Timings,
    Told,
    Understood,
)


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (b"\1\2", Sound(b"\1\2")),
        ('{"type": "audio", "audio": "AQI=", "is_final": true}', Sound(b"\1\2", "", final=True)),
        ('{"type": "audio", "transcript": "hi", "more": 1}', Sound(b"", "hi")),
        ('{"type": "end_turn", "transcript": "hi"}', EndTurn("hi")),
        ('{"type": "interrupt"}', Interrupt()),
        ('{"type": "ping"}', Ping()),
        ('{"type": "close"}', Close()),
        ('{"type": "dance"}', None),
    ],
)
def test_what_clients_send(message: str | bytes, command: object) -> None:
    assert command_of(message) == command


@pytest.mark.parametrize(
    "message", ["", "1", "{}", '{"type": 1}', '{"type": "audio", "audio": "A"}']
)
def test_what_cannot_be_read(message: str) -> None:
    with pytest.raises(BadRequest):
        command_of(message)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (Text(2, "a"), {"type": "text", "text": "a", "is_final": False}),
        (
            Speech(2, b"\1\2", "a", 0.1),
            {"type": "audio", "audio": "AQI=", "format": "pcm", "text": "a"},
        ),
        (
            Understood(2, "a"),
            {"type": "transcript", "text": "a", "is_input": True, "is_final": True},
        ),
        (Interrupted(2, "a"), {"type": "interrupted", "partial_output": "a"}),
        (SpeechStarted(2), {"type": "speech_started"}),
        (SpeechStopped(2), {"type": "speech_stopped"}),
        (Problem(2, BadRequest("no")), {"type": "error", "message": "no"}),
    ],
)
def test_what_clients_are_told(told: Told, message: dict[str, object]) -> None:
    assert written(told, "pcm") == [{**message, "turn_id": 2}]


def test_what_belongs_to_no_turn_and_what_is_not_told() -> None:
    assert written(Reply({"type": "pong"}), "pcm") == [{"type": "pong"}]
    assert written(SpeechStopped(0), "pcm") == [{"type": "speech_stopped"}]
    assert written(Began(1), "pcm") == []
    kinds = [written(NotCalled(1, called=called), "pcm")[0]["type"] for called in (False, True)]
    assert kinds == ["wake_word_required", "error"]


@pytest.mark.parametrize(
    ("timings", "latency"),
    [
        (Timings(1, 2, 3, 4, 5), 4),
        (Timings(1, 2, total=5), 2),
        (Timings(1, total=5), 5),
    ],
)
def test_the_latency_is_that_of_the_first_that_is_heard(timings: Timings, latency: int) -> None:
    end, complete = written(Complete(1, "a", "b", timings=timings), "pcm")
    assert (end["is_final"], complete["latency_ms"]) == (True, latency)
    [alone] = written(Complete(1, "a", "b", interrupted=True), "pcm")
    assert (alone["type"], alone["interrupted"]) == ("turn_complete", True)
