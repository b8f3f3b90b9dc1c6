"""The voices of espeak-ng, as the program lists them."""

from __future__ import annotations

import contextlib
import re
import subprocess
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from engine.base import Voice
from engine.piper.voices import OF_OPENAI
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

# Priority, language, age and gender, name, file, then other languages with their priorities.
_LINE = re.compile(r"\s*\d+\s+(\S+)\s+\S+\s+\S+\s+(\S+)\s*(.*)")
_OTHER = re.compile(r"\(([^\s()]+) \d+\)")
# These need a program and files beside espeak-ng, and are listed without them.
_MBROLA = "mb/"
_VARIANT = "!v/"
_USUAL = "en"
# The samples a second of its own voices.
_RATE = 22050
_SECONDS = 10.0
_MOST_NAMED = 12


class EspeakVoices(NamedTuple):
    """What espeak-ng can speak.

    ``languages`` are its voices, by their codes. ``others`` are codes that mean one of these.
    ``variants`` change a voice: ``de+f3``. ``usual`` is the voice of a request that names none. All
    are empty if the program could not be asked; then any voice is tried.
    """

    languages: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()
    variants: frozenset[str] = frozenset()
    usual: str = _USUAL
    rate: int = _RATE

    def chosen(self, voice: str) -> str:
        """Return the name by which espeak-ng knows a voice; BadRequest if it has no such voice."""
        if not voice or voice == "default" or voice in OF_OPENAI:
            return self.usual
        code, _, variant = voice.partition("+")
        known = code in self.languages or code in self.others
        if self.languages and (not known or (variant and variant not in self.variants)):
            raise BadRequest(
                f"The model has no voice '{voice}'. Its voices are: {self._named()}.", param="voice"
            )
        return voice

    def options(self, voice: str, speed: float) -> dict[str, object]:
        """Return the fields of a request to the server; BadRequest for an unknown voice."""
        options: dict[str, object] = {"voice": self.chosen(voice)}
        return options if speed == 1 else {**options, "length_scale": 1 / speed}

    def listed(self) -> list[Voice]:
        """Return the voices, the usual one first."""
        rest = (code for code in self.languages if code != self.usual)
        return [Voice(code, code.partition("+")[0]) for code in (self.usual, *rest)]

    def _named(self) -> str:
        first = ", ".join(self.languages[:_MOST_NAMED])
        more = len(self.languages) - _MOST_NAMED
        return f"{first} and {more} more: see /v1/audio/voices" if more > 0 else first


def voices_in(voices: str, variants: str) -> EspeakVoices:
    """Return the voices in what ``--voices`` and ``--voices=variant`` print. Pure."""
    own: dict[str, None] = {}
    others: set[str] = set()
    for language, file, more in _lines(voices):
        if not file.startswith((_MBROLA, _VARIANT)):
            own[language] = None
            others.update(_OTHER.findall(more))
    kinds = (file.removeprefix(_VARIANT) for _, file, _ in _lines(variants))
    return EspeakVoices(tuple(sorted(own)), frozenset(others), frozenset(kinds))


def voices_of(binary: str, usual: str) -> EspeakVoices:
    """Return the voices of the program, with ``usual`` as that of requests which name none.

    The first call for a program runs it twice, for some 30 ms.
    """
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return _asked(binary)._replace(usual=usual or _USUAL)
    return EspeakVoices(usual=usual or _USUAL)


@lru_cache(maxsize=8)
def _asked(binary: str) -> EspeakVoices:
    return voices_in(_said(binary, "--voices"), _said(binary, "--voices=variant"))


def _said(binary: str, option: str) -> str:
    done = subprocess.run(  # noqa: S603 - the operator's program
        [binary, option], capture_output=True, timeout=_SECONDS, check=True, text=True
    )
    return done.stdout


def _lines(text: str) -> Iterable[tuple[str, str, str]]:
    for line in text.splitlines():
        if found := _LINE.match(line):
            yield found[1], found[2], found[3]
