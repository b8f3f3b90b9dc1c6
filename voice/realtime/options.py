"""What a session of OpenAI's Realtime API is, and how ``session.update`` changes it. Pure.

Both forms are read: the present one, with ``audio.input`` and ``audio.output``, and that of the
beta, with all fields side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voice.activity import Pace
from voice.fields import Fields
from voice.live.options import LiveOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PCM, ULAW, ALAW = "audio/pcm", "audio/pcmu", "audio/pcma"
_FORMATS = (PCM, ULAW, ALAW)
_BETA_FORMATS = {"pcm16": PCM, "g711_ulaw": ULAW, "g711_alaw": ALAW}
_SEMANTIC = "semantic_vad"
_DETECTIONS = ("server_vad", _SEMANTIC)
_CHOICES = ("auto", "none", "required")
# Milliseconds of silence after which the assistant may speak again.
_IDLE = (100, 600_000)
# Seconds of silence after which a turn has ended, by how eager the assistant is to answer.
_EAGERNESS = {"low": 1.2, "medium": 0.7, "auto": 0.7, "high": 0.4}
_MOST_TOKENS = 4096
_LONGEST_TURN = 120.0


@dataclass(frozen=True, slots=True)
class Detection:
    """How the end of a turn is found in the sound; ``kind`` is "" where the client tells it.

    ``answers``: each turn is answered at once. ``interrupts``: speech interrupts an answer.
    ``idle`` are the seconds of silence after which the assistant speaks again; None for never.
    """

    kind: str = "server_vad"
    threshold: float = 0.5
    before: float = 0.3
    silence: float = 0.5
    eagerness: str = "auto"
    answers: bool = True
    interrupts: bool = True
    idle: float | None = None

    def pace(self) -> Pace:
        """Return when a turn begins and ends."""
        usual = Pace()
        semantic = self.kind == _SEMANTIC
        silence = _EAGERNESS[self.eagerness] if semantic else self.silence
        # What the client has set is exact.
        unfinished = usual.unfinished if semantic else silence
        return usual._replace(
            silence=silence, unfinished=unfinished, before=self.before, longest=_LONGEST_TURN
        )

    def shown(self) -> dict[str, Any] | None:
        """Return it as the API writes it."""
        if not self.kind:
            return None
        common = {
            "type": self.kind,
            "create_response": self.answers,
            "interrupt_response": self.interrupts,
        }
        if self.kind == _SEMANTIC:
            return {**common, "eagerness": self.eagerness}
        return {
            **common,
            "threshold": self.threshold,
            "prefix_padding_ms": round(self.before * 1000),
            "silence_duration_ms": round(self.silence * 1000),
            "idle_timeout_ms": None if self.idle is None else round(self.idle * 1000),
        }


@dataclass(frozen=True, slots=True)
class RealtimeOptions:
    """A session; ``models`` says how it hears, thinks and speaks.

    ``transcribes``: nothing is answered, only transcribed. ``tools`` and ``choice`` are
    as the API has them.
    """

    models: LiveOptions
    speaks: bool = True
    transcribes: bool = False
    input: str = PCM
    output: str = PCM
    detection: Detection = Detection()
    tools: tuple[Mapping[str, Any], ...] = ()
    choice: Any = "auto"

    def shown(self, session: str, *, beta: bool) -> dict[str, Any]:
        """Return the session as ``session.created`` tells it."""
        models, detection = self.models, self.detection.shown()
        modalities = ["audio"] if self.speaks else ["text"]
        common: dict[str, Any] = {
            "id": session,
            "object": "realtime.session",
            "model": models.model,
            "instructions": models.system,
            "tools": list(self.tools),
            "tool_choice": self.choice,
        }
        heard = {"model": models.hearer, "language": models.language or None, "prompt": None}
        if beta:
            formats = {name: old for old, name in _BETA_FORMATS.items()}
            return {
                **common,
                "modalities": ["text", *([] if modalities == ["text"] else modalities)],
                "voice": models.voice or "alloy",
                "input_audio_format": formats[self.input],
                "output_audio_format": formats[self.output],
                "input_audio_transcription": heard,
                "turn_detection": detection,
                "temperature": models.temperature,
                "max_response_output_tokens": models.max_tokens,
            }
        hearing = {
            "format": _format_shown(self.input),
            "transcription": heard,
            "turn_detection": detection,
            "noise_reduction": None,
        }
        if self.transcribes:
            kind = {"id": session, "object": "realtime.transcription_session"}
            return {**kind, "type": "transcription", "audio": {"input": hearing}}
        speaking = {
            "format": _format_shown(self.output),
            "voice": models.voice or "alloy",
            "speed": models.speed,
        }
        return {
            **common,
            "type": "realtime",
            "output_modalities": modalities,
            "audio": {"input": hearing, "output": speaking},
            "max_output_tokens": models.max_tokens,
        }


def usual(model: str, hearer: str, speaker: str, *, transcribes: bool) -> RealtimeOptions:
    """Return the session that a client gets that asks for nothing more; ``speaker`` may be ""."""
    models = LiveOptions(
        model=model,
        output="pcm",
        hearer=hearer,
        speaker=speaker,
        max_tokens=_MOST_TOKENS,
        history=200,
        temperature=0.8,
    )
    return RealtimeOptions(models, speaks=bool(speaker), transcribes=transcribes)


def updated(
    options: RealtimeOptions,
    session: Any,  # noqa: ANN401 - decoded JSON
    hears: Callable[[str], bool],
) -> RealtimeOptions:
    """Return the session as ``session.update`` changes it; fields that are not there stay.

    ``hears`` tells whether a model of this name transcribes: OpenAI's own names mean the one that
    was chosen. BadRequest for a value that cannot be used.
    """
    fields = Fields(session, "session")
    audio = fields.at("audio")
    hearing, speaking = audio.at("input"), audio.at("output")
    models = _models(options.models, fields, speaking)
    where = hearing if "transcription" in hearing else fields
    name = "transcription" if "transcription" in hearing else "input_audio_transcription"
    heard = where.at(name)
    if "language" in heard:
        models = replace(models, language=heard.text("language"))
    if hears(model := heard.text("model")):
        models = replace(models, hearer=model)
    tools = options.tools
    if "tools" in fields:
        tools = tuple(fields.objects("tools"))
        models = replace(models, tools=tuple(map(_tool, tools)))
    choice = options.choice
    if "tool_choice" in fields:
        choice = fields.raw("tool_choice")
        models = replace(models, tool_choice=_choice(fields))
    return replace(
        options,
        models=models,
        speaks=_speaks(fields, speaks=options.speaks) and bool(models.speaker),
        input=_format(hearing, fields, "input_audio_format", options.input),
        output=_format(speaking, fields, "output_audio_format", options.output),
        detection=_detection(fields, hearing, options.detection),
        tools=tools,
        choice=choice,
    )


def _models(models: LiveOptions, fields: Fields, speaking: Fields) -> LiveOptions:
    limit = models.max_tokens
    for name in ("max_output_tokens", "max_response_output_tokens"):
        endless = fields.raw(name) == "inf"
        limit = _MOST_TOKENS if endless else fields.count(name, limit, 1, 2**20)
    voice = speaking.raw("voice") if "voice" in speaking else fields.raw("voice")
    if isinstance(voice, dict):
        voice = voice.get("id")
    if voice is not None and not isinstance(voice, str):
        raise fields.fault("voice", "must be the name of a voice")
    return replace(
        models,
        system=fields.text("instructions", models.system),
        max_tokens=limit,
        temperature=fields.number("temperature", models.temperature, 0, 2),
        voice=models.voice if voice is None else voice,
        speed=speaking.number("speed", models.speed, 0.25, 4.0),
    )


def _speaks(fields: Fields, *, speaks: bool) -> bool:
    for name in ("output_modalities", "modalities"):
        if name in fields:
            speaks = "audio" in fields.words(name)
    return speaks


def _format(part: Fields, fields: Fields, beta: str, default: str) -> str:
    known = fields.choice(beta, tuple(_BETA_FORMATS), "")
    default = _BETA_FORMATS.get(known, default)
    if "format" not in part:
        return default
    wanted = part.at("format")
    wanted.count("rate", 24000, 8000, 24000)
    return wanted.choice("type", _FORMATS, default)


def _format_shown(name: str) -> dict[str, Any]:
    return {"type": name, "rate": 24000} if name == PCM else {"type": name}


def _detection(fields: Fields, hearing: Fields, known: Detection) -> Detection:
    where = hearing if hearing.has("turn_detection") else fields
    if not where.has("turn_detection"):
        return known
    if "turn_detection" not in where:
        return replace(known, kind="")
    wanted = where.at("turn_detection")
    return Detection(
        kind=wanted.choice("type", _DETECTIONS, known.kind or _DETECTIONS[0]),
        threshold=wanted.number("threshold", 0.5, 0, 1),
        before=wanted.count("prefix_padding_ms", 300, 0, 5000) / 1000,
        silence=wanted.count("silence_duration_ms", 500, 100, 10000) / 1000,
        eagerness=wanted.choice("eagerness", tuple(_EAGERNESS), "auto"),
        answers=wanted.flag("create_response", default=True),
        interrupts=wanted.flag("interrupt_response", default=True),
        idle=_idle(wanted),
    )


def _idle(wanted: Fields) -> float | None:
    if "idle_timeout_ms" not in wanted or wanted.text("type") == _SEMANTIC:
        return None
    return wanted.count("idle_timeout_ms", 0, *_IDLE) / 1000


def _choice(fields: Fields) -> Any:  # noqa: ANN401 - JSON of a chat
    """Return a choice of tools as chats have it."""
    wanted = fields.raw("tool_choice")
    if isinstance(wanted, str):
        return fields.choice("tool_choice", _CHOICES, "auto")
    one = fields.at("tool_choice")
    name = one.at("function").text("name") or one.text("name")
    if one.text("type") != "function" or not name:
        why = f"must be one of {', '.join(_CHOICES)}, or name a function"
        raise fields.fault("tool_choice", why)
    return {"type": "function", "function": {"name": name}}


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a tool as chats have it."""
    function = {name: tool[name] for name in ("name", "description", "parameters") if name in tool}
    return tool if "function" in tool else {"type": "function", "function": function}
