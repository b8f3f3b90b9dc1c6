"""What ``POST /v1/audio/live`` asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from engine.sound.tools import RATE as DECODED
from voice.activity import Pace
from voice.fields import Fields
from voice.wake import MODES, Mode, WakeWords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INPUTS = ("webm", "opus", "wav", "pcm", "mp3")
PLAIN = ("wav", "pcm")
"""Formats that are samples; the others are decoded."""
_RATES = (8000, 48000)
_MINUTES = (5, 20)
_USUAL_MINUTES = 15
_MOST_WORDS = 16
_LONGEST_WORD = 100
_DETECTS = ("server", "none")
_SILENCE = (200, 5000)
_LONGEST_LOSS = 60


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a session hears, thinks and speaks.

    ``hearer`` and ``speaker`` are models by their names; "" leaves the choice to the gateway.
    ``language`` is "" for any. ``detects``: turns are found in the sound. ``reconnect``: so many
    seconds it waits for its client after the connection was lost. ``tool_choice`` is as chats have
    it. ``partials``: speech is made a text already while it goes on; None where that costs nobody
    anything.
    """

    model: str
    system: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    history: int = 20
    temperature: float = 0.7
    max_tokens: int = 1024
    input: str = "webm"
    output: str = "opus"
    rate: int = 24000
    interrupts: bool = True
    detects: bool = True
    silence: float = Pace().silence
    unfinished: float = Pace().unfinished
    wake: WakeWords | None = None
    voice: str = ""
    speed: float = 1.0
    language: str = ""
    hearer: str = ""
    speaker: str = ""
    minutes: int = _USUAL_MINUTES
    reconnect: int = 0
    tool_choice: Any = "auto"
    partials: bool | None = None

    @property
    def decodes(self) -> bool:
        """Whether the sound is decoded while it comes."""
        return self.detects and self.input not in PLAIN

    @property
    def heard_rate(self) -> int:
        """The samples a second that are listened to."""
        return DECODED if self.decodes else self.rate

    def shown(self) -> dict[str, Any]:
        """Return the parts of the request that ``ready`` repeats, with what was chosen."""
        wake = self.wake or WakeWords(())
        return {
            "audio": {
                "input_format": self.input,
                "output_format": self.output,
                "sample_rate": self.rate,
                "allow_interrupt": self.interrupts,
                "turn_detection": "server" if self.detects else "none",
                "silence_ms": round(self.silence * 1000),
                "unfinished_ms": round(self.unfinished * 1000),
            },
            "wake_word": {
                "enabled": self.wake is not None,
                "words": list(wake.words),
                "mode": wake.mode,
            },
            "voice": {
                "voice_id": self.voice or "default",
                "speed": self.speed,
                "language": self.language or "auto",
            },
        }


def options_of(
    body: Any,  # noqa: ANN401 - decoded JSON
    outputs: Sequence[str],
    inputs: Sequence[str] = INPUTS,
) -> LiveOptions:
    """Return what a request asks for, or raise BadRequest.

    ``outputs`` are the formats of speech that can be had here, the usual one first; ``inputs``
    those that can be heard here while they come.
    """
    fields = Fields(body)
    audio, voice, llm = (
        fields.at("audio_config"),
        fields.at("voice_config"),
        fields.at("llm_config"),
    )
    if not (model := llm.text("model")):
        raise llm.fault("model", "must name a model")
    hearing = fields.at("transcription_config")
    heard = audio.choice("input_format", INPUTS, "webm")
    name, language = voice.text("voice_id"), voice.text("language")
    return LiveOptions(
        model=model,
        system=llm.text("system_prompt"),
        tools=tuple(llm.objects("tools")),
        history=llm.count("history_length", 20, 2, 1000),
        temperature=llm.number("temperature", 0.7, 0, 2),
        max_tokens=llm.count("max_tokens", 1024, 1, 2**20),
        input=heard,
        output=audio.choice("output_format", outputs, outputs[0]),
        rate=audio.count("sample_rate", 24000, *_RATES),
        interrupts=audio.flag("allow_interrupt", default=True),
        detects=audio.choice("turn_detection", _DETECTS, "server") == "server" and heard in inputs,
        silence=_seconds(audio, "silence_ms", Pace().silence),
        unfinished=_seconds(audio, "unfinished_ms", Pace().unfinished),
        wake=_wake(fields.at("wake_word_config")),
        voice="" if name == "default" else name,
        speed=voice.number("speed", 1.0, 0.25, 4.0),
        language="" if language == "auto" else language,
        hearer=hearing.text("model"),
        speaker=voice.text("model"),
        minutes=fields.count("session_ttl_minutes", _USUAL_MINUTES, *_MINUTES),
        reconnect=fields.count("reconnect_seconds", 0, 0, _LONGEST_LOSS),
        partials=hearing.flag("partial", default=False) if "partial" in hearing else None,
    )


def _seconds(fields: Fields, name: str, usual: float) -> float:
    return fields.count(name, round(usual * 1000), *_SILENCE) / 1000


def _wake(fields: Fields) -> WakeWords | None:
    words = tuple(word for word in fields.words("words") if any(map(str.isalnum, word)))
    mode = fields.choice("mode", MODES, "pre")
    if not fields.flag("enabled", default=False):
        return None
    if not words:
        raise fields.fault("words", "must name a wake word, as 'enabled' is true")
    if len(words) > _MOST_WORDS or max(map(len, words)) > _LONGEST_WORD:
        why = f"may have {_MOST_WORDS} words of {_LONGEST_WORD} characters"
        raise fields.fault("words", why)
    return WakeWords(words, cast("Mode", mode))
