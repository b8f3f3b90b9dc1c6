"""``Generic``: the engine type of any HTTP server that a command starts."""

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
    """A server that gets its port by ``${PORT}``, or listens at ``connect``."""

    name = "generic"

    def address(self, variant: VariantSpec, connect: str | None) -> str | None:  # noqa: ARG002 - the interface
        """Return ``connect``, or None for a free port."""
        return connect

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch:
        """Return the variant's command and environment, with the placeholders replaced."""
        known = {"${PORT}": str(urlsplit(url).port or 80), "${MODEL}": variant.model}

        def filled(text: str) -> str:
            for name, value in known.items():
                text = text.replace(name, value)
            return text

        argv = (variant.binary, *map(filled, variant.args))
        env = dict(environ) | {name: filled(value) for name, value in variant.env.items()}
        return Launch(variant.label, argv, env, url, stop_signal=variant.stop_signal)

    def client(self, variant: VariantSpec, url: str) -> HttpEngine:
        """Return the client; the engine is ready when its health check succeeds."""
        return HttpEngine(variant, url, variant.health_path or HEALTH_PATH)

    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """Return the capabilities of the listed endpoints."""
        return of_endpoints(variant)

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Return a finding if the variable of its key is not set."""
        return key_findings(variant, os.environ)


def of_endpoints(variant: VariantSpec) -> Capabilities:
    """Return the capabilities of the listed endpoints.

    A chat endpoint may also take images, sound and tools.
    """
    if not variant.endpoints:
        return Capabilities(frozenset(), frozenset(NAMES))
    certain = frozenset(
        endpoint.needs
        for endpoint in ENDPOINTS
        if endpoint.needs and any(variant.answers(path) for path in endpoint.paths)
    )
    return Capabilities(certain, certain | _OF_TEXTS if "text" in certain else certain)


def key_findings(variant: VariantSpec, environ: Mapping[str, str]) -> list[Finding]:
    """Return the faults of the key that the configuration names."""
    name = variant.api_key_env
    if name is None or environ.get(name):
        return []
    return [Finding("api_key_env", f"the variable {name} is not set in the gateway's environment")]
