"""``docs/rooms.py`` as a module, read once for all tests: it knows who imports whom."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING

from paths import ROOT

if TYPE_CHECKING:
    from types import ModuleType


@cache
def rooms() -> ModuleType:
    """Return the module."""
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "docs" / "rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
