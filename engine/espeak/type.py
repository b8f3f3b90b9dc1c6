"""``Espeak``: the engine type of espeak-ng, a program that speaks many languages."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base import Capabilities, EngineType, Finding, Launch, Voice
from engine.espeak.voices import EspeakVoices, voices_of
from engine.piper.asked import asked_of
from engine.piper.client import PiperEngine
from engine.program import given, listening_at, located
from engine.sound.tools import ENCODED, tool
from models.requests.endpoints import SPEECH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.requests.endpoints import Endpoint
    from models.spec import VariantSpec

_PROGRAM = "espeak-ng"
_SERVER = ("-P", "-m", "engine.espeak.bundled")
_VOICE, _PACE = "-v", "-s"
_OWN = ("--host", "--port")
_SPEAKS = frozenset({"speech"})
_LICENCE = "GPL-3.0-or-later"
_PROJECT = Path(__file__).resolve().parents[2]


class Espeak(EngineType):
    """espeak-ng of this machine; ``binary`` names another place of it.

    The gateway adds a small server, a process of its own, which runs the program for each text.
    ``args`` go to the program.
    """

    name = "espeak"
    environment = (*EngineType.environment, "ESPEAK_")

    def address(self, variant: VariantSpec, connect: str | None) -> str | None:
        """Return ``connect``, else the address in the arguments; None for a free port."""
        return located(variant.args, connect)

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch:
        """Return the command line of the server; without the program one that says so."""
        env = {**environ, **variant.env, "PYTHONPATH": str(_PROJECT)}
        if shutil.which(program := _program(variant)) is None:
            # It ends with these words, which the client that waits for it is told.
            ends = f"raise SystemExit({_missing(program)!r})"
            return Launch(variant.label, (sys.executable, "-c", ends), env, url)
        where = [
            part
            for name in _OWN
            for part in (name, given(variant.args, name, default=""))
            if given(variant.args, name, default="")
        ]
        pace = given(variant.args, _PACE, default="")
        own = [*where, *listening_at(where, url), *(("--pace", pace) if pace else ())]
        argv = (sys.executable, *_SERVER, "--program", program, *own, "--", *_passed(variant))
        return Launch(variant.label, argv, env, url)

    def client(self, variant: VariantSpec, url: str) -> PiperEngine:
        """Return the client of Piper's interface, which knows the voices of the program."""
        return PiperEngine(variant, url, _voices(variant))

    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """Return that it speaks, and nothing else."""
        # The program is asked for its voices now, while nobody waits, and not by a request.
        _voices(variant)
        return Capabilities(_SPEAKS, _SPEAKS)

    def fit(self, variant: VariantSpec, endpoint: Endpoint, request: dict[str, Any]) -> bool:
        """Raise BadRequest for what speech cannot have, and for an unknown voice."""
        if endpoint is SPEECH:
            asked = asked_of(request, ENCODED if tool() else ())
            _voices(variant).chosen(asked.voice)
        return False

    def voices(self, variant: VariantSpec) -> list[Voice]:
        """Return the languages that the program lists."""
        return _voices(variant).listed()

    def licence(self, variant: VariantSpec) -> str:  # noqa: ARG002 - the interface
        """Return that of the program, which has its voices inside."""
        return _LICENCE

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Return a program that is not installed, and a voice that it does not have."""
        if missing := self.missing(variant):
            return [Finding("binary", missing)]
        voices = _voices(variant)
        known = {*voices.languages, *voices.others}
        if known and voices.usual.partition("+")[0] not in known:
            return [Finding("args", f'espeak-ng has no voice "{voices.usual}"')]
        return []

    def missing(self, variant: VariantSpec) -> str:
        """Return that the program is not installed, and how to install it; else ""."""
        program = _program(variant)
        return "" if shutil.which(program) else _missing(program)


def _program(variant: VariantSpec) -> str:
    return variant.binary or _PROGRAM


def _missing(program: str) -> str:
    return f"{program} is not installed: on Debian and Ubuntu, run apt install espeak-ng"


def _voices(variant: VariantSpec) -> EspeakVoices:
    return voices_of(_program(variant), given(variant.args, _VOICE, default=""))


def _passed(variant: VariantSpec) -> list[str]:
    """Return the arguments for the program: those without host, port and pace."""
    left, args = [], iter(variant.args)
    for arg in args:
        if arg in (*_OWN, _PACE):
            next(args, None)
        else:
            left.append(arg)
    return left
