"""``Remote``: a server that runs already as a kind of engine. It is asked, never started."""

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
    """Another machine's server, or a hosted API, at the model's ``url``."""

    name = "remote"
    runs_elsewhere = True

    def address(self, variant: VariantSpec, connect: str | None) -> str:  # noqa: ARG002
        """The URL of the configuration."""
        return variant.url

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> None:
        """Nothing: it runs already."""

    def client(self, variant: VariantSpec, url: str) -> HttpEngine:
        """The way to it; without a health path it is taken to be ready."""
        return HttpEngine(variant, url, variant.health_path)

    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """What the listed endpoints promise."""
        return of_endpoints(variant)

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Whether the variable of its key is set."""
        return key_findings(variant, os.environ)
