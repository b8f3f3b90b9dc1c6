"""The numbers of the scheduler's rules and the limits of engines, from the configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.scheduling.eviction import Limits

if TYPE_CHECKING:
    from engine.types import EngineTypes
    from models.catalog import Catalog
    from utils.config.settings import ServerSettings

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of the scheduler's rules; times in seconds."""

    max_queue: int = 64
    shrink_after: float = 300.0
    shrink_requests: int = 4
    max_switch_wait: float = 0.0
    min_residency: float = 0.0


def policy_of(settings: ServerSettings) -> Policy:
    """Return the policy of the ``server`` table."""
    return Policy(
        settings.max_queue,
        settings.shrink_after,
        settings.shrink_requests,
        settings.max_switch_wait,
        settings.min_residency,
    )


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
