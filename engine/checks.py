"""What is wrong with the variants of a catalog beyond what the configuration's own checks see."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.types import EngineTypes
    from models.catalog import Catalog
    from models.spec import ModelSpec, VariantSpec


class Verdict(NamedTuple):
    """Lines for a person: with a fault an engine can never start, a warning is worth a look."""

    faults: list[str]
    warnings: list[str]


def misaddressed(catalog: Catalog, types: EngineTypes) -> list[str]:
    """Return a line for each variant whose engine would listen at a port that does not exist."""
    return [
        f"{variant.label}: the engine would listen at {url}; expected a port from 1 to 65535"
        for variant, model in _variants(catalog)
        if (url := types.of(variant).address(variant, model.connect)) and not _has_port(url)
    ]


def examined(catalog: Catalog, types: EngineTypes) -> Verdict:
    """Return what the engine types find. It may read files and run each binary for seconds."""
    verdict = Verdict([], [])
    for variant, _ in _variants(catalog):
        for finding in types.of(variant).checks(variant):
            lines = verdict.faults if finding.fatal else verdict.warnings
            lines.append(f"{variant.label}.{finding.key}: {finding.message}")
    return verdict


def absent(catalog: Catalog, types: EngineTypes) -> list[str]:
    """Return a line for each variant whose program or packages are not installed; it is quick."""
    return [
        f"{variant.label} cannot start: {what}"
        for variant, _ in _variants(catalog)
        if (what := types.of(variant).missing(variant))
    ]


def _variants(catalog: Catalog) -> Iterator[tuple[VariantSpec, ModelSpec]]:
    for model in catalog.models:
        for variant in model.variants:
            yield variant, model


def _has_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.port != 0 and bool(parts.hostname)
    except ValueError:
        return False
