"""The composition root: what a configuration finds, and what is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.catalog import Catalog
from utils.bundled import bundled_model, bundled_server
from utils.config.lua_data import Presets
from utils.config.settings import server_settings

if TYPE_CHECKING:
    from utils.config.settings import ServerSettings
    from utils.config.tables import Tables


def presets() -> Presets:
    """Return what a configuration finds in ``presets`` on this machine."""
    return Presets(("llamacpp",), bundled_server(), bundled_model())


def settings_and_catalog(tables: Tables) -> tuple[ServerSettings, Catalog]:
    """Return the settings and the models of a checked configuration."""
    settings = server_settings(tables.server)
    return settings, Catalog.from_tables(tables.models, settings, tables.groups)
