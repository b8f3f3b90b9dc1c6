"""The configuration that a request keeps from its beginning to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.cors import Cors
from server.hosts import Hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.types import EngineTypes
    from models.capabilities import Capabilities
    from models.catalog import Catalog
    from models.spec import ModelSpec
    from utils.config.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Configuration:
    """One configuration, and what follows from it; never changed.

    ``able`` tells by its name what each model can do.
    """

    settings: ServerSettings
    catalog: Catalog
    cors: Cors
    hosts: Hosts
    able: Mapping[str, Capabilities]
    types: EngineTypes

    @classmethod
    def of(cls, settings: ServerSettings, catalog: Catalog, types: EngineTypes) -> Configuration:
        """Return the configuration of these settings and models, with these types of engines."""
        able = {model.name: types.capabilities(model) for model in catalog.models}
        cors, hosts = Cors(settings.cors_origins), Hosts(settings.hosts)
        return cls(settings, catalog, cors, hosts, able, types)


class CurrentConfiguration:
    """Holds the configuration for requests that begin now.

    Each request reads ``now`` once, when it begins, and hands it on: what it does must not
    mix two configurations.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.now = configuration

    def still_has(self, model: ModelSpec) -> bool:
        """Return whether the model is configured now as it was when the request found it."""
        catalog = self.now.catalog
        return model.name in catalog and catalog.find(model.name) is model
