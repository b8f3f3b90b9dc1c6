"""One Whisper model, which transcribes one sound at a time."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Final

import _pywhispercpp as whisper
import numpy as np
from pywhispercpp.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Json = dict[str, Any]
_RATE: Final = 16000
_FAILED: Final = "failed to load model"
# OpenAI's API names languages in words; others than these keep their code.
_LANGUAGES: Final = {
    "ar": "arabic",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "he": "hebrew",
    "hi": "hindi",
    "hu": "hungarian",
    "it": "italian",
    "ja": "japanese",
    "ko": "korean",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "tr": "turkish",
    "uk": "ukrainian",
    "vi": "vietnamese",
    "zh": "chinese",
}
_TRUE: Final = ("true", "1", "on", "yes")
# The texts of a form that change how a sound is read, and how they are understood.
_NUMBERS: Final[dict[str, type]] = {
    "temperature": float,
    "temperature_inc": float,
    "entropy_thold": float,
    "logprob_thold": float,
    "no_speech_thold": float,
    "audio_ctx": int,
    "max_len": int,
}
_DEFAULTS: Final = {
    "temperature": 0.0,
    "temperature_inc": 0.2,
    "entropy_thold": 2.4,
    "logprob_thold": -1.0,
    "no_speech_thold": 0.6,
    "audio_ctx": 0,
    "max_len": 0,
}


@contextlib.contextmanager
def _said() -> Iterator[list[str]]:
    """Collect the lines that whisper.cpp writes to stderr, which get them in the end."""
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        own = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(own, 2)
            os.close(own)
            file.seek(0)
            lines += file.read().decode("utf-8", "replace").splitlines()
            for line in lines:
                print(line, file=sys.stderr, flush=True)


class Recogniser:
    """A loaded model; its methods may be called from several threads."""

    def __init__(self, path: str, threads: int, language: str) -> None:
        self._lock = threading.Lock()
        self._language = language
        with _said() as said:
            model: Any = Model(
                path,
                redirect_whispercpp_logs_to=False,
                n_threads=threads,
                print_progress=False,
                print_timestamps=False,
            )
        self._model = model
        self._context = model._ctx  # noqa: SLF001 - the package offers no other way
        # The package hides the null that whisper.cpp returns.
        if any(_FAILED in line for line in said):
            raise ValueError(f"{path} cannot be loaded as a model of Whisper")

    def hear(
        self,
        samples: Any,  # noqa: ANN401 - numpy's array
        texts: Mapping[str, str],
        left: Callable[[], bool],
        tell: Callable[[Json], None] | None = None,
    ) -> Json | None:
        """Return what is said in ``samples``, as whisper-server's verbose_json; None if left.

        ``left`` tells whether nobody waits any more; ``tell`` gets each segment when it is known.
        Raises ValueError for a text that has no meaning.
        """
        options = _options(texts)
        options["language"] = texts.get("language") or self._language
        with self._lock:
            if left():
                return None
            words = bool(options["token_timestamps"])

            def heard(_segment: object) -> None:
                if tell is not None:
                    tell(self._segment(whisper.whisper_full_n_segments(self._context) - 1, words))

            self._model.transcribe(
                samples,
                new_segment_callback=heard if tell is not None else None,
                abort_callback=left,
                **options,
            )
            if left():
                return None
            count = whisper.whisper_full_n_segments(self._context)
            segments = [self._segment(at, words) for at in range(count)]
            language = whisper.whisper_lang_str(whisper.whisper_full_lang_id(self._context))
        return {
            "task": "translate" if options["translate"] else "transcribe",
            "language": _LANGUAGES.get(language, language),
            "duration": len(samples) / _RATE,
            "text": "".join(segment["text"] for segment in segments),
            "segments": segments,
        }

    def _segment(self, at: int, words: bool) -> Json:
        context = self._context
        end = whisper.whisper_token_eot(context)
        tokens = [
            (data, whisper.whisper_full_get_token_text(context, at, number))
            for number in range(whisper.whisper_full_n_tokens(context, at))
            if (data := whisper.whisper_full_get_token_data(context, at, number)).id < end
        ]
        segment: Json = {
            "id": at,
            "text": _text(whisper.whisper_full_get_segment_text(context, at)),
            "start": whisper.whisper_full_get_segment_t0(context, at) / 100,
            "end": whisper.whisper_full_get_segment_t1(context, at) / 100,
            "tokens": [data.id for data, _ in tokens],
            "avg_logprob": float(np.mean([data.plog for data, _ in tokens])) if tokens else 0.0,
        }
        if words:
            segment["words"] = [
                {
                    "word": _text(text),
                    "start": data.t0 / 100,
                    "end": data.t1 / 100,
                    "probability": data.p,
                }
                for data, text in tokens
            ]
        return segment


def _options(texts: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = dict(_DEFAULTS)
    for name, kind in _NUMBERS.items():
        if texts.get(name):
            options[name] = kind(texts[name])
    options["initial_prompt"] = texts.get("prompt", "")
    for name in ("translate", "token_timestamps", "split_on_word"):
        options[name] = texts.get(name) in _TRUE
    return options


def _text(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
