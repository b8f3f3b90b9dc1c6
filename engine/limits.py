"""The configured limits for engines that run side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.scheduling.eviction import Limits

if TYPE_CHECKING:
    from engine.types import EngineTypes
    from models.catalog import Catalog
    from utils.config.settings import ServerSettings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def limits_of(catalog: Catalog, settings: ServerSettings, types: EngineTypes) -> Limits:
    """Return the limits for the engines of ``catalog``."""
    urls = {v.label: types.of(v).address(v, m.connect) for m in catalog.models for v in m.variants}
    return Limits(
        max_loaded=settings.max_loaded_models,
        addresses={label: address(url) for label, url in urls.items() if url is not None},
        resources=settings.resources,
        groups={m.name: m.group for m in catalog.models if m.group is not None},
        pinned=frozenset(model.name for model in catalog.models if model.pinned),
        persistent=frozenset(group.name for group in catalog.groups if group.persistent),
        elsewhere=frozenset(m.name for m in catalog.models if types.of(m.largest).runs_elsewhere),
    )


def address(url: str) -> str:
    """Return the same text for all spellings of an address; all loopback addresses are one."""
    parts = urlsplit(url)
    host = "localhost" if parts.hostname in _LOOPBACK else parts.hostname
    return f"{host}:{parts.port or 80}"
