"""``Remote``: the engine type of a server that runs already and is never started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.base import Capabilities, EngineType, Finding
from engine.generic.client import HttpEngine
from engine.generic.type import key_findings, of_endpoints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.spec import VariantSpec


class Remote(EngineType):
    """A server of another machine, or a hosted API, at the model's ``url``."""

    name = "remote"
    runs_elsewhere = True

    def address(self, variant: VariantSpec, connect: str | None) -> str:  # noqa: ARG002 - the interface
        """Return the configured URL."""
        return variant.url

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> None:
        """Return None, because it runs already."""

    def client(self, variant: VariantSpec, url: str) -> HttpEngine:
        """Return the client; without a health path the engine counts as ready."""
        return HttpEngine(variant, url, variant.health_path)

    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """Return the capabilities of the listed endpoints."""
        return of_endpoints(variant)

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Return findings if the variable of its key is not set, or nothing can be woken."""
        found = key_findings(variant, os.environ)
        if variant.wake and variant.health_path is None:
            said = "it never runs, as no health_path tells whether the server answers"
            found.append(Finding("wake", said))
        return found
