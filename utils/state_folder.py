"""Where data that outlives the gateway is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from utils.config.settings import ServerSettings


def state_folder(settings: ServerSettings) -> Path:
    """Return ``state_dir``, else the system's usual folder; it may not exist yet."""
    return Path(settings.state_dir or platformdirs.user_state_dir("llm-gateway", appauthor=False))
