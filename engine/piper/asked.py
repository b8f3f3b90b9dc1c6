"""What a request for speech asks for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.piper.sentences import sentences
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
FORMATS = (*_TYPES,)
# Samples a second of ``pcm``, which has no head to say so.
PCM_RATE = 24000
_STREAMS = ("audio", "sse")
_SLOWEST, _FASTEST = 0.25, 4.0
EVENTS = "text/event-stream"


class Asked(NamedTuple):
    """What the client wants: the pieces of its text, in order, and how they are sent."""

    pieces: tuple[str, ...]
    voice: str
    format: str
    speed: float
    events: bool

    @property
    def content_type(self) -> str:
        """The content type of the answer."""
        return EVENTS if self.events else _TYPES[self.format]


def asked_of(request: Mapping[str, Any], encoded: tuple[str, ...] = ()) -> Asked:
    """Return what a request asks for, or raise BadRequest; ``encoded`` formats can be had here.

    OpenAI's default is MP3. Where nothing encodes, a client that names no format gets WAV.
    """
    text = request.get("input")
    if not isinstance(text, str):
        raise BadRequest("'input' must be a text.", param="input")
    pieces = tuple(sentences(text))
    if not pieces:
        raise BadRequest("'input' has nothing to say.", param="input")
    return Asked(
        pieces,
        _voice(request.get("voice")),
        _format(request.get("response_format"), encoded),
        _speed(request.get("speed")),
        _choice(request, "stream_format", _STREAMS) == "sse",
    )


def _voice(voice: Any) -> str:  # noqa: ANN401 - decoded JSON
    name = voice.get("id") if isinstance(voice, dict) else voice
    if name is not None and not isinstance(name, str):
        raise BadRequest("'voice' must be the name of a voice.", param="voice")
    return name or ""


def _format(wanted: Any, encoded: tuple[str, ...]) -> str:  # noqa: ANN401 - decoded JSON
    if wanted is None:
        return "mp3" if "mp3" in encoded else "wav"
    if wanted not in FORMATS:
        raise BadRequest(
            f"'response_format' must be one of {', '.join(FORMATS)}.", param="response_format"
        )
    if wanted not in (*encoded, "wav", "pcm"):
        raise BadRequest(
            f"Nothing here encodes {wanted}: ask for wav or pcm, or install ffmpeg, or PyAV, which"
            " ./init.sh speech does.",
            param="response_format",
        )
    return str(wanted)


def _speed(speed: Any) -> float:  # noqa: ANN401 - decoded JSON
    if speed is None:
        return 1.0
    number = isinstance(speed, int | float) and not isinstance(speed, bool)
    if not number or not _SLOWEST <= speed <= _FASTEST:
        raise BadRequest(f"'speed' must be a number from {_SLOWEST} to {_FASTEST}.", param="speed")
    return float(speed)


def _choice(request: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = request.get(name)
    if value is None:
        return known[0]
    if value not in known:
        raise BadRequest(f"'{name}' must be one of {', '.join(known)}.", param=name)
    return str(value)
