"""A configuration in the making, and its text. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from utils.config.convert.lua_text import Noted, lua_text


@dataclass(slots=True)
class Document:
    """The tables of a configuration, and ``notes`` on what has no counterpart."""

    server: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    models: list[dict[str, Any] | Noted] = field(default_factory=list)
    groups: dict[str, Any] = field(default_factory=dict)
    routes: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def text(self, source: str) -> str:
        """Return the Lua file; ``source`` says what it was made from."""
        parts = [f"-- Converted from {source}. docs/configuration.md explains every key.\n"]
        parts += [f"-- {line}\n" for line in self.notes]
        for name in ("server", "defaults", "models", "groups", "routes"):
            value = getattr(self, name)
            if value:
                parts.append(f"\n{name} = {lua_text(value, '', len(name) + 3)}\n")
        return "".join(parts)
