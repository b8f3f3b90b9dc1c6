"""A transcript in the client's format, made from whisper-server's ``verbose_json``. Pure.

whisper-server breaks its text into lines by segment, types some formats wrongly, and lists pieces
of words where OpenAI lists words. All of that is put right here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from utils.sse import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.whisper.asked import Asked

Json = dict[str, Any]
EVENTS = "text/event-stream"
_TYPES = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


class Segment(NamedTuple):
    """A piece of the text, with its times in seconds and the pieces of its words."""

    text: str
    start: float
    end: float
    more: Json


class Transcript(NamedTuple):
    """What the engine has heard; ``seconds`` is the length of the sound."""

    language: str
    seconds: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The whole text in one line."""
        return joined(segment.text for segment in self.segments)


def transcript_of(answer: bytes) -> Transcript:
    """Return the transcript in the engine's JSON; ValueError if it has none."""
    said = orjson.loads(answer)
    listed = said.get("segments") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise ValueError("no segments")  # noqa: TRY004 - it is a fault of the answer, as no JSON is
    seconds = _number(said.get("duration"))
    segments = tuple(segment_of(each, seconds) for each in listed if isinstance(each, dict))
    return Transcript(str(said.get("language", "")), seconds, segments)


def content_type(asked: Asked) -> str:
    """Return the content type of the format."""
    return EVENTS if asked.stream else _TYPES[asked.format]


def written(transcript: Transcript, asked: Asked) -> bytes:
    """Return the answer's body."""
    if asked.stream:
        deltas = (delta(segment, first=not at) for at, segment in enumerate(transcript.segments))
        return b"".join(deltas) + done(transcript)
    if asked.format == "text":
        return transcript.text.encode() + b"\n"
    if asked.format == "srt":
        return "".join(_cues(transcript.segments, ",", numbered=True)).encode()
    if asked.format == "vtt":
        return ("WEBVTT\n\n" + "".join(_cues(transcript.segments, "."))).encode()
    if asked.format == "verbose_json":
        return orjson.dumps(_verbose(transcript, asked))
    return orjson.dumps({"text": transcript.text, "usage": _usage(transcript)})


def delta(segment: Segment, *, first: bool) -> bytes:
    """Return a segment as an event of a stream."""
    text = joined([segment.text])
    return (
        Event.of({"type": "transcript.text.delta", "delta": text if first else f" {text}"}).raw
        if text
        else b""
    )


def done(transcript: Transcript) -> bytes:
    """Return the event that ends a stream."""
    usage = _usage(transcript)
    return Event.of({"type": "transcript.text.done", "text": transcript.text, "usage": usage}).raw


def joined(texts: Iterable[str]) -> str:
    """Return the texts as one line, with one blank between words."""
    return " ".join(" ".join(texts).split())


def words_of(segments: Iterable[Segment]) -> list[Json]:
    """Return the words with their times. The engine's pieces of a word begin without a blank."""
    words: list[Json] = []
    for segment in segments:
        begins = True
        for piece in _pieces(segment):
            text, start, end = piece["word"], piece["start"], piece["end"]
            if begins or text.startswith(" ") or not words:
                words.append({"word": text.strip(), "start": start, "end": end})
            else:
                words[-1]["word"] += text
                words[-1]["end"] = max(end, words[-1]["end"])
            begins = False
    return [word for word in words if word["word"]]


def segment_of(said: Json, seconds: float = 0.0) -> Segment:
    """Return a segment of the engine's JSON.

    A sound may be shorter than what the engine reads at once, and the engine places an end beyond
    it. So no time is later than ``seconds``, the length of the sound; 0 if it is not known.
    """
    latest = seconds or math.inf
    start, end = (min(_number(said.get(name)), latest) for name in ("start", "end"))
    words = [
        {**piece, **{name: min(_number(piece.get(name)), latest) for name in ("start", "end")}}
        for piece in said.get("words") or ()
        if isinstance(piece, dict)
    ]
    return Segment(str(said.get("text", "")), start, end, {**said, "words": words})


def _pieces(segment: Segment) -> Iterator[Json]:
    for piece in segment.more.get("words") or ():
        if isinstance(piece.get("word"), str):
            yield piece


def _verbose(transcript: Transcript, asked: Asked) -> Json:
    answer: Json = {
        "task": "translate" if asked.translate else "transcribe",
        "language": transcript.language,
        "duration": round(transcript.seconds, 3),
        "text": transcript.text,
        "usage": _usage(transcript),
    }
    if asked.words:
        answer["words"] = words_of(transcript.segments)
    if asked.segments:
        answer["segments"] = [
            {
                "id": at,
                "seek": int(segment.start * 100),
                "start": segment.start,
                "end": segment.end,
                "text": segment.text,
                "tokens": [t for t in segment.more.get("tokens") or () if isinstance(t, int)],
                "temperature": _number(segment.more.get("temperature")),
                "avg_logprob": _number(segment.more.get("avg_logprob")),
                # It is not known; OpenAI's own takes less than 2.4 for a sound text.
                "compression_ratio": 1.0,
                "no_speech_prob": _number(segment.more.get("no_speech_prob")),
            }
            for at, segment in enumerate(transcript.segments)
        ]
    return answer


def _usage(transcript: Transcript) -> Json:
    return {"type": "duration", "seconds": round(transcript.seconds, 3)}


def _cues(segments: Iterable[Segment], mark: str, *, numbered: bool = False) -> Iterator[str]:
    for number, segment in enumerate(segments, 1):
        times = f"{_clock(segment.start, mark)} --> {_clock(segment.end, mark)}"
        yield f"{number}\n" * numbered + f"{times}\n{joined([segment.text])}\n\n"


def _clock(seconds: float, mark: str) -> str:
    total = round(max(0.0, seconds) * 1000)
    minutes, rest = divmod(total, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _number(value: Any) -> float:  # noqa: ANN401 - decoded JSON
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else 0.0
