"""The configuration that a request uses from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.browsers import Cors, Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import EngineTypes
    from models.capabilities import Capabilities
    from models.catalog import Catalog
    from models.spec import ModelSpec
    from utils.config.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration, and the values made from it; never changed.

    ``able`` has the capabilities of each model, by its name.
    """

    settings: ServerSettings
    catalog: Catalog
    cors: Cors
    hosts: Hosts
    able: Mapping[str, Capabilities]
    types: EngineTypes
    with_client_key: frozenset[str]

    @classmethod
    def of(cls, settings: ServerSettings, catalog: Catalog, types: EngineTypes) -> Configuration:
        """Return the configuration of these settings, models and engine types."""
        able = {model.name: types.capabilities(model) for model in catalog.models}
        cors, hosts = Cors(settings.cors_origins), Hosts(settings.hosts)
        keyed = {m.name for m in catalog.models if types.of(m.largest).wants_client_key}
        return cls(settings, catalog, cors, hosts, able, types, frozenset(keyed))


class CurrentConfiguration:
    """Holds the configuration for requests that start now.

    Each request reads ``now`` once, at its start, so that it never mixes two configurations.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.now = configuration

    def still_has(self, model: ModelSpec) -> bool:
        """Return whether the model is still configured as it was when the request found it."""
        catalog = self.now.catalog
        return model.name in catalog and catalog.find(model.name) is model
