"""``Generic``: any HTTP server as a kind of engine, started by the command of its variant."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.base import Capabilities, EngineType, Finding, Launch
from engine.generic.client import HttpEngine
from models.capabilities import NAMES
from models.requests.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import VariantSpec

HEALTH_PATH = "/health"
_OF_TEXTS = frozenset({"vision", "audio", "tools"})


class Generic(EngineType):
    """A server that is told its port by ``${PORT}``, or listens where ``connect`` says."""

    name = "generic"

    def address(self, variant: VariantSpec, connect: str | None) -> str | None:  # noqa: ARG002
        """``connect``, or None: it is told a free port."""
        return connect

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch:
        """The variant's command and variables, with ``${PORT}`` and ``${MODEL}`` filled in."""
        known = {"${PORT}": str(urlsplit(url).port or 80), "${MODEL}": variant.model}

        def filled(text: str) -> str:
            for name, value in known.items():
                text = text.replace(name, value)
            return text

        argv = (variant.binary, *map(filled, variant.args))
        env = dict(environ) | {name: filled(value) for name, value in variant.env.items()}
        return Launch(variant.label, argv, env, url, stop_signal=variant.stop_signal)

    def client(self, variant: VariantSpec, url: str) -> HttpEngine:
        """The way to it; it is ready when its health path says so."""
        return HttpEngine(variant, url, variant.health_path or HEALTH_PATH)

    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """What the listed endpoints promise."""
        return of_endpoints(variant)

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Whether the variable of its key is set."""
        return key_findings(variant, os.environ)


def of_endpoints(variant: VariantSpec) -> Capabilities:
    """What the listed endpoints promise. One that takes chats may take images, sound and tools."""
    if not variant.endpoints:
        return Capabilities(frozenset(), frozenset(NAMES))
    certain = frozenset(
        endpoint.needs
        for endpoint in ENDPOINTS
        if endpoint.needs and any(variant.answers(path) for path in endpoint.paths)
    )
    return Capabilities(certain, certain | _OF_TEXTS if "text" in certain else certain)


def key_findings(variant: VariantSpec, environ: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the key that the configuration names."""
    name = variant.api_key_env
    if name is None or environ.get(name):
        return []
    return [Finding("api_key_env", f"the variable {name} is not set in the gateway's environment")]
