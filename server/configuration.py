"""The configuration that a request uses from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.capabilities import ModelCapabilities
from models.routing.book import RouteBook
from server.browsers import Cors, Hosts
from server.forwarded import Proxies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import EngineTypes
    from models.catalog import Catalog
    from models.requests.reader import Fit
    from models.spec import ModelSpec
    from utils.config.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration, and the values made from it; never changed.

    ``able`` has the capabilities of each model, by its name, and ``fits`` what changes a request so
    that its engine ignores nothing in it. ``proxies`` is None where the gateway trusts none.
    """

    settings: ServerSettings
    catalog: Catalog
    cors: Cors
    hosts: Hosts
    proxies: Proxies | None
    able: ModelCapabilities
    fits: Mapping[str, Fit]
    types: EngineTypes
    with_client_key: frozenset[str]
    book: RouteBook

    @classmethod
    def of(
        cls,
        settings: ServerSettings,
        catalog: Catalog,
        types: EngineTypes,
        before: Configuration | None = None,
    ) -> Configuration:
        """Return the configuration of these settings, models and engine types.

        What is known of models that were there ``before`` is not found out anew.
        """
        able = ModelCapabilities(catalog, types, None if before is None else before.able)
        cors, hosts = Cors(settings.cors_origins), Hosts(settings.hosts)
        keyed = {m.name for m in catalog.models if types.of(m.largest).wants_client_key}
        elsewhere = {m.name for m in catalog.models if types.of(m.largest).runs_elsewhere}
        book = RouteBook(catalog, able, frozenset(elsewhere), types.has_voice)
        proxies = Proxies(settings.trusted_proxies) if settings.trusted_proxies else None
        fits = {m.name: types.of(m.largest).fit for m in catalog.models}
        return cls(
            settings, catalog, cors, hosts, proxies, able, fits, types, frozenset(keyed), book
        )


class CurrentConfiguration:
    """Holds the configuration for requests that start now.

    Each request reads ``now`` once, at its start, so that it never mixes two configurations.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.now = configuration

    def fast_lane(self) -> bool:
        """Return whether a new connection begins in the lane."""
        return self.now.settings.fast_lane

    def still_has(self, model: ModelSpec) -> bool:
        """Return whether the model is still configured as it was when the request found it."""
        catalog = self.now.catalog
        return catalog.has_model(model.name) and catalog.find(model.name) is model
