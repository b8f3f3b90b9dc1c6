"""What a request for a session says; its faults are in the test of the whole gateway."""

from __future__ import annotations

import pytest

from utils.errors import BadRequest
from voice.live.options import PLAIN, LiveOptions, options_of
from voice.wake import WakeWords

OUTPUTS = ("opus", "wav", "pcm")


def test_the_usual_session() -> None:
    options = options_of({"llm_config": {"model": "m"}}, OUTPUTS)
    assert options == LiveOptions("m")
    assert (options.decodes, options.heard_rate, options.rate) == (True, 16000, 24000)
    # Where nothing decodes it, its turns end at the client's word.
    without = options_of({"llm_config": {"model": "m"}}, OUTPUTS, PLAIN)
    assert without == LiveOptions("m", detects=False)
    assert (without.decodes, without.heard_rate) == (False, 24000)
    shown = options.shown()
    assert shown["audio"]["output_format"] == "opus"
    assert shown["voice"] == {"voice_id": "default", "speed": 1.0, "language": "auto"}
    assert shown["wake_word"] == {"enabled": False, "words": [], "mode": "pre"}


def test_every_field() -> None:
    options = options_of(
        {
            "audio_config": {
                "input_format": "pcm",
                "output_format": "wav",
                "sample_rate": 16000,
                "allow_interrupt": False,
                "silence_ms": 700,
            },
            "wake_word_config": {"enabled": True, "words": ["hey you", "!"], "mode": "mid"},
            "voice_config": {"voice_id": "joe", "speed": 1.5, "language": "en", "model": "s"},
            "llm_config": {
                "model": "m",
                "system_prompt": "Be kind.",
                "tools": [{}],
                "history_length": 4,
                "temperature": 0,
                "max_tokens": 10,
            },
            "transcription_config": {"model": "h", "partial": False},
            "session_ttl_minutes": 20,
        },
        OUTPUTS,
    )
    assert options == LiveOptions(
        model="m",
        system="Be kind.",
        tools=({},),
        history=4,
        temperature=0,
        max_tokens=10,
        input="pcm",
        output="wav",
        rate=16000,
        interrupts=False,
        detects=True,
        silence=0.7,
        wake=WakeWords(("hey you",), "mid"),
        voice="joe",
        speed=1.5,
        language="en",
        hearer="h",
        speaker="s",
        minutes=20,
        partials=False,
    )
    assert options.shown()["audio"]["turn_detection"] == "server"


def test_formats_that_cannot_be_had_are_refused() -> None:
    body = {"llm_config": {"model": "m"}, "audio_config": {"output_format": "opus"}}
    with pytest.raises(BadRequest, match="must be one of wav, pcm"):
        options_of(body, ("wav", "pcm"))
    many = {"enabled": True, "words": ["word"] * 17}
    with pytest.raises(BadRequest, match="may have 16 words"):
        options_of({"llm_config": {"model": "m"}, "wake_word_config": many}, OUTPUTS)
