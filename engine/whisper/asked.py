"""What a transcription asks for, and the form that whisper-server gets for it. Pure.

The engine always answers ``verbose_json``, without the probabilities of languages, which take as
long as the transcription itself. Every format of the client is made from that: see
``transcript.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_GRANULARITIES = ("segment", "word")
_WHOLE_ONLY = ("srt", "vtt", "verbose_json")
_GRANULARITY = "timestamp_granularities"
# Fields of OpenAI's API that would change the answer, and that whisper-server has no means for.
_UNKNOWN = {
    "include": "whisper-server tells no probabilities of tokens in OpenAI's shape",
    "chunking_strategy": "whisper-server takes a sound as a whole",
    "known_speaker_names": "whisper-server tells no speakers apart",
    "known_speaker_references": "whisper-server tells no speakers apart",
}
# Those of the client that whisper-server knows under the same name.
_PASSED = frozenset(
    {
        "audio_ctx",
        "beam_size",
        "best_of",
        "carry_initial_prompt",
        "detect_language",
        "duration",
        "entropy_thold",
        "language",
        "logprob_thold",
        "max_context",
        "max_len",
        "no_speech_thold",
        "offset_t",
        "prompt",
        "split_on_word",
        "suppress_nst",
        "temperature",
        "temperature_inc",
        "vad",
        "word_thold",
    }
)
# A position of the encoder's context is 20 ms. Each step leaves a second or more beyond the sound:
# a context that fits tightly makes the decoder repeat itself.
_CONTEXTS = ((9.0, 512), (14.0, 768), (19.0, 1024))
# whisper.cpp's own default, and what a sound counts as whose length is not known.
_WHOLE_WINDOW = 0


class Asked(NamedTuple):
    """What the client wants.

    ``words`` and ``segments`` are the timestamps of a ``verbose_json``.
    """

    format: str = "json"
    stream: bool = False
    translate: bool = False
    words: bool = False
    segments: bool = True


def asked_of(texts: Iterable[tuple[str, str]], *, translate: bool) -> Asked:
    """Return what a form asks for; raise BadRequest for what it cannot have."""
    texts = list(texts)
    fields = dict(texts)
    for name, why in _UNKNOWN.items():
        if fields.get(name) or fields.get(f"{name}[]"):
            raise BadRequest(f"'{name}' cannot be obeyed: {why}.", param=name)
    wanted = fields.get("response_format") or "json"
    if wanted not in FORMATS:
        raise BadRequest(
            f"'response_format' must be one of {', '.join(FORMATS)}.", param="response_format"
        )
    stream = fields.get("stream") == "true"
    if stream and wanted in _WHOLE_ONLY:
        raise BadRequest(
            f"A stream has the text alone, so 'response_format' cannot be {wanted}.",
            param="response_format",
        )
    times = [text for name, text in texts if name.removesuffix("[]") == _GRANULARITY and text]
    if any(each not in _GRANULARITIES for each in times):
        raise BadRequest(f"'{_GRANULARITY}' must be word or segment.", param=_GRANULARITY)
    if times and wanted != "verbose_json":
        raise BadRequest(
            f"'{_GRANULARITY}' needs the 'response_format' verbose_json.", param=_GRANULARITY
        )
    _check_number(fields, "temperature", 0, 1)
    return Asked(wanted, stream, translate, "word" in times, not times or "segment" in times)


def form_for(
    asked: Asked, texts: Iterable[tuple[str, str]], seconds: float | None
) -> list[tuple[str, str]]:
    """Return the texts for whisper-server; ``seconds`` is the sound's length, None if unknown.

    A short sound is read in a short context and decoded once: with the whole window of 30 seconds,
    and with tries at higher temperatures, a sentence takes up to ten times as long.
    """
    passed = {name: text for name, text in texts if name in _PASSED and text}
    if (context := context_for(seconds)) != _WHOLE_WINDOW:
        passed.setdefault("audio_ctx", str(context))
        passed.setdefault("temperature_inc", "0.0")
    own = {
        "response_format": "verbose_json",
        "no_language_probabilities": "true",
        "token_timestamps": _word(asked.words),
        "translate": _word(asked.translate),
    }
    if asked.stream:
        # The embedded server sends each segment when it is known; whisper-server ignores it.
        own["stream"] = "true"
    return [*passed.items(), *own.items()]


def context_for(seconds: float | None) -> int:
    """Return the encoder's context for a sound of so many seconds; 0 for the whole window."""
    if seconds is None:
        return _WHOLE_WINDOW
    return next((context for most, context in _CONTEXTS if seconds <= most), _WHOLE_WINDOW)


def fit(request: Mapping[str, Any], *, translate: bool) -> None:
    """Raise BadRequest if the texts of a form ask for what they cannot have."""
    asked_of(
        [(name, text) for name, text in request.items() if isinstance(text, str)],
        translate=translate,
    )


def _check_number(fields: Mapping[str, str], name: str, least: float, most: float) -> None:
    text = fields.get(name)
    if not text:
        return
    try:
        good = least <= float(text) <= most
    except ValueError:
        good = False
    if not good:
        raise BadRequest(f"'{name}' must be a number from {least} to {most}.", param=name)


def _word(flag: bool) -> str:
    return "true" if flag else "false"
