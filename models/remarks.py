"""What in a valid configuration probably is not meant. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.catalog import Catalog
    from utils.config.settings import ServerSettings


def remarks(settings: ServerSettings, catalog: Catalog) -> list[str]:
    """Return a line for each key without an effect, with its place."""
    grouped = [model.name for model in catalog.models if model.group is not None]
    if settings.max_loaded_models == 1 and grouped:
        what = f"group (of {', '.join(grouped)}): no effect while server.max_loaded_models is 1"
        return [f"{what}: one engine runs at a time"]
    return []
