"""The messages of the Live Voice API: what clients send, and what they are told. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from utils.errors import BadRequest
from voice.fields import Fields
from voice.told import (
    Complete,
    Interrupted,
    NotCalled,
    Partial,
    Problem,
    Reply,
    Speech,
    SpeechStarted,
    SpeechStopped,
    Text,
    Understood,
)

if TYPE_CHECKING:
    from voice.live.options import LiveOptions
    from voice.told import Told

Json = dict[str, Any]


class Sound(NamedTuple):
    """A piece of sound, and what the client itself has understood of the turn so far."""

    data: bytes
    transcript: str = ""
    final: bool = False


class EndTurn(NamedTuple):
    """The user has ended; ``transcript`` is what was said, "" if the gateway is to hear it."""

    transcript: str = ""


class Interrupt(NamedTuple):
    """Stop the answer."""


class Ping(NamedTuple):
    """Answer with ``pong``."""


class Close(NamedTuple):
    """End the session."""


Command = Sound | EndTurn | Interrupt | Ping | Close


def command_of(message: str | bytes) -> Command | None:
    """Return what a message asks for, or raise BadRequest; bytes are a piece of sound.

    None for a type that is not known: newer clients may have more of them.
    """
    if isinstance(message, bytes):
        return Sound(message)
    try:
        fields = Fields(orjson.loads(message))
    except ValueError:
        raise BadRequest("The message is no JSON.") from None
    kind = fields.text("type")
    if kind == "audio":
        final = fields.flag("is_final", default=False)
        return Sound(_decoded(fields), fields.text("transcript"), final)
    if kind == "end_turn":
        return EndTurn(fields.text("transcript"))
    plain: dict[str, Command] = {"interrupt": Interrupt(), "ping": Ping(), "close": Close()}
    if not kind:
        raise fields.fault("type", "must say what the message is")
    return plain.get(kind)


def _decoded(fields: Fields) -> bytes:
    try:
        return base64.b64decode(fields.text("audio"), validate=True)
    except (binascii.Error, ValueError):
        raise fields.fault("audio", "must be base64") from None


def ready(token: str, options: LiveOptions) -> Json:
    """Return the first message of a session."""
    return {"type": "ready", "session_token": token, "config": options.shown()}


def written(told: Told, output: str) -> list[Json]:
    """Return the messages that say this; ``output`` is the format of speech."""
    if isinstance(told, Text):
        found: list[Json] = [{"type": "text", "text": told.text, "is_final": False}]
    elif isinstance(told, Speech):
        sound = base64.b64encode(told.sound).decode()
        found = [{"type": "audio", "audio": sound, "format": output, "text": told.text}]
    elif isinstance(told, Interrupted):
        found = [{"type": "interrupted", "partial_output": told.heard}]
    elif isinstance(told, Complete):
        found = _complete(told)
    else:
        found = _of_turn(told)
    return [{**message, "turn_id": told.turn} for message in found] if told.turn else found


def _of_turn(told: Told) -> list[Json]:
    if isinstance(told, Understood | Partial):
        final = isinstance(told, Understood)
        return [{"type": "transcript", "text": told.text, "is_input": True, "is_final": final}]
    if isinstance(told, SpeechStarted | SpeechStopped):
        kind = "speech_started" if isinstance(told, SpeechStarted) else "speech_stopped"
        return [{"type": kind}]
    if isinstance(told, NotCalled):
        return [_not_called(told)]
    if isinstance(told, Problem):
        return [{"type": "error", "message": told.error.message}]
    return [told.message] if isinstance(told, Reply) else []


def _not_called(told: NotCalled) -> Json:
    if told.called:
        message = "There is only the wake word: say what you want beside it."
        return {"type": "error", "message": message}
    message = "Say the wake word to be answered."
    return {"type": "wake_word_required", "message": message}


def _complete(told: Complete) -> list[Json]:
    times = told.timings
    first = times.total if times.first_text is None else times.first_text
    complete = {
        "type": "turn_complete",
        "input_transcript": told.asked,
        "output_transcript": told.text,
        "tools_called": [
            {"id": call.id, "name": call.name, "arguments": call.arguments} for call in told.calls
        ],
        "interrupted": told.interrupted,
        "usage": {
            "tokens_in": told.usage.prompt,
            "tokens_out": told.usage.completion,
            "tokens_cached": told.usage.cached,
        },
        "cost": told.usage.cost,
        "latency_ms": first if times.first_audio is None else times.first_audio,
        "timings": {
            "heard_ms": times.heard,
            "understood_ms": times.understood,
            "first_text_ms": times.first_text,
            "first_clause_ms": times.first_clause,
            "first_audio_ms": times.first_audio,
            "total_ms": times.total,
        },
    }
    if told.interrupted:
        return [complete]
    end = {"type": "text", "text": "", "is_final": True}
    return [end, complete]
