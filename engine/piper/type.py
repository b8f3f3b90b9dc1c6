"""``Piper``: the engine type of Piper's HTTP server."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base import Capabilities, EngineType, Finding, Launch, Voice
from engine.piper.asked import asked_of
from engine.piper.client import PiperEngine
from engine.piper.voices import shipped_voice, voices_of
from engine.program import given, listening_at, located
from engine.sound.tools import ENCODED, tool
from models.requests.endpoints import SPEECH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.requests.endpoints import Endpoint
    from models.spec import VariantSpec

_MODEL = ("-m", "--model")
_PROGRAM = "piper"
_SERVER = "piper.http_server"
_SPEAKS = frozenset({"speech"})
_LICENCE = "CC0-1.0"
_MISSING = "the speech packages are not installed: run ./init.sh speech"


class Piper(EngineType):
    """Piper's server; that of the speech packages, with their voice, for a variant that names none.

    The program is never imported: it runs as a process of its own.
    """

    name = "piper"

    def address(self, variant: VariantSpec, connect: str | None) -> str | None:
        """Return ``connect``, else the address in the arguments; None for a free port."""
        return located(variant.args, connect)

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch:
        """Return the variant's command line; what is missing is added."""
        args = (*variant.args, *listening_at(variant.args, url))
        env = {**environ, **variant.env}
        if variant.binary:
            return Launch(variant.label, (variant.binary, *args), env, url)
        if self.missing(variant):
            # It ends with these words, which the client that waits for it is told.
            argv: tuple[str, ...] = (sys.executable, "-c", f"raise SystemExit({_MISSING!r})")
            return Launch(variant.label, argv, env, url)
        voice = () if _own_voice(variant) else ("-m", shipped_voice())
        argv = (sys.executable, "-P", "-m", _SERVER, *voice, *args)
        return Launch(variant.label, argv, env, url)

    def client(self, variant: VariantSpec, url: str) -> PiperEngine:
        """Return the client, which knows the voices of the model."""
        return PiperEngine(variant, url, voices_of(_voice(variant)))

    def capabilities(self, variant: VariantSpec) -> Capabilities:  # noqa: ARG002 - the interface
        """Return that it speaks, and nothing else."""
        return Capabilities(_SPEAKS, _SPEAKS)

    def fit(self, variant: VariantSpec, endpoint: Endpoint, request: dict[str, Any]) -> bool:
        """Raise BadRequest for what speech cannot have, and for an unknown voice."""
        if endpoint is SPEECH:
            asked = asked_of(request, ENCODED if tool() else ())
            voices_of(_voice(variant)).speaker(asked.voice)
        return False

    def voices(self, variant: VariantSpec) -> list[Voice]:
        """Return the voices that the file beside the model lists."""
        known = voices_of(_voice(variant))
        return [Voice(name, known.language) for name in known.names if name]

    def licence(self, variant: VariantSpec) -> str:
        """Return that of the voice of the speech packages, as its model card states it."""
        return "" if variant.binary or _own_voice(variant) else _LICENCE

    def files(self, variant: VariantSpec, environ: Mapping[str, str]) -> list[str]:  # noqa: ARG002 - the interface
        """Return the voice's file."""
        voice = _voice(variant)
        return [voice] if voice else []

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Return a voice that is missing, and packages that are not installed."""
        own = _own_voice(variant)
        if own and not Path(own).exists():
            return [Finding("args", f'the file "{own}" does not exist', fatal=True)]
        if missing := self.missing(variant):
            return [Finding("binary", missing)]
        if variant.binary and not own:
            return [Finding("args", "no voice: give its file with -m")]
        return []

    def missing(self, variant: VariantSpec) -> str:
        """Return that the speech packages are not installed, if they are needed, else ""."""
        there = variant.binary or (find_spec(_PROGRAM) is not None and _voice(variant))
        return "" if there else _MISSING


def _own_voice(variant: VariantSpec) -> str:
    """Return the voice in the arguments; ``-m piper.http_server`` is the program."""
    voice = given(variant.args, *_MODEL, default="")
    return "" if voice == _SERVER else voice


def _voice(variant: VariantSpec) -> str:
    own = _own_voice(variant)
    return own or ("" if variant.binary else shipped_voice())
