"""Sessions of the Realtime API and their changes, in the present form and in that of the beta."""

from __future__ import annotations

import pytest

from utils.errors import BadRequest
from voice.realtime.options import ALAW, PCM, ULAW, Detection, updated, usual

USUAL = usual("m", "h", "s", transcribes=False)


def hears(name: str) -> bool:
    return name == "other"


def test_the_present_form() -> None:
    options = updated(
        USUAL,
        {
            "type": "realtime",
            "instructions": "Be kind.",
            "output_modalities": ["text"],
            "max_output_tokens": "inf",
            "tools": [{"type": "function", "name": "clock"}],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "transcription": {"model": "other", "language": "en"},
                    "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
                },
                "output": {"format": {"type": "audio/pcma"}, "voice": {"id": "joe"}, "speed": 1.5},
            },
        },
        hears,
    )
    models = options.models
    assert (models.system, models.voice, models.speed) == ("Be kind.", "joe", 1.5)
    assert (models.hearer, models.language, models.max_tokens) == ("other", "en", 4096)
    assert models.tools == ({"type": "function", "function": {"name": "clock"}},)
    assert (options.speaks, options.input, options.output) == (False, ULAW, ALAW)
    assert options.detection.pace().silence == 1.2
    shown = options.shown("sess", beta=False)
    assert shown["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert shown["audio"]["input"]["turn_detection"]["eagerness"] == "low"
    assert shown["output_modalities"] == ["text"]
    # What is not named stays.
    assert updated(options, {}, hears) == options


def test_the_form_of_the_beta() -> None:
    options = updated(
        USUAL,
        {
            "modalities": ["text", "audio"],
            "voice": "joe",
            "input_audio_format": "g711_ulaw",
            "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.8,
                "prefix_padding_ms": 200,
                "silence_duration_ms": 700,
                "create_response": False,
            },
            "temperature": 0.6,
            "max_response_output_tokens": 10,
        },
        hears,
    )
    assert (options.input, options.output, options.speaks) == (ULAW, PCM, True)
    # A name of OpenAI's means the model that was chosen.
    assert (options.models.hearer, options.models.max_tokens) == ("h", 10)
    expected = Detection(threshold=0.8, before=0.2, silence=0.7, answers=False)
    assert options.detection == expected
    shown = options.shown("sess", beta=True)
    assert shown["turn_detection"]["silence_duration_ms"] == 700
    assert shown["modalities"] == ["text", "audio"]
    silent = updated(options, {"turn_detection": None}, hears)
    assert silent.shown("sess", beta=True)["turn_detection"] is None


def test_the_choice_of_tools_and_the_time_of_silence() -> None:
    clock = {"type": "function", "name": "clock"}
    vad = {"type": "server_vad", "idle_timeout_ms": 6000}
    session = {"tool_choice": clock, "audio": {"input": {"turn_detection": vad}}}
    options = updated(USUAL, session, hears)
    named = {"type": "function", "function": {"name": "clock"}}
    assert options.models.tool_choice == named
    shown = options.shown("sess", beta=False)
    assert shown["tool_choice"] == clock
    assert shown["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 6000
    chats = updated(options, {"tool_choice": named}, hears)
    assert chats.models.tool_choice == named
    semantic = {"turn_detection": {**vad, "type": "semantic_vad"}, "tool_choice": "none"}
    options = updated(options, semantic, hears)
    assert (options.models.tool_choice, options.detection.idle) == ("none", None)


def test_a_session_without_a_voice_writes() -> None:
    options = usual("m", "h", "", transcribes=False)
    assert not updated(options, {"output_modalities": ["audio"]}, hears).speaks
    shown = usual("", "h", "", transcribes=True).shown("sess", beta=False)
    assert shown["type"] == "transcription"


@pytest.mark.parametrize(
    "session",
    [
        3,
        {"voice": 3},
        {"temperature": 3},
        {"max_output_tokens": 0},
        {"input_audio_format": "mp3"},
        {"audio": {"input": {"format": {"type": "mp3"}}}},
        {"turn_detection": {"type": "magic"}},
        {"tools": ["clock"]},
        {"tool_choice": "perhaps"},
        {"tool_choice": {"type": "function"}},
        {"tool_choice": {"type": "mcp", "server_label": "s"}},
        {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5}},
    ],
)
def test_faults(session: object) -> None:
    with pytest.raises(BadRequest):
        updated(USUAL, session, hears)
