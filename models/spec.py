"""What the user configured, as frozen values.

Nothing here knows where the values came from (the Lua file) or what becomes of
them (processes, HTTP). Order is meaning: a model's variants stand from the
smallest capacity to the largest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from utils.config.tables import GroupTable, TokenizationTable

if TYPE_CHECKING:
    from collections.abc import Mapping

# These hold as they stand in the file.
TokenizationSpec = TokenizationTable
GroupSpec = GroupTable


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The waits that cascade variant > model > server, in seconds; ``stall`` 0: never."""

    health_check: float
    startup: float
    idle: float
    stop: float
    stall: float = 0.0


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One way to start a model's engine, and the room for a request that this yields.

    A variant is the same under the same ``label``. ``context`` is how many tokens one request may
    have, prompt and answer together; None for engines that count none. Without a ``name`` the
    context is its name. ``engine`` names the engine's type; "" is the default one.

    The fields from ``url`` on are for engines of which the gateway knows no more than HTTP:
    ``endpoints`` are the paths that they answer, () for any; a ``health_path`` of None is the
    type's own.
    """

    model: str
    context: int | None
    binary: str
    timeouts: Timeouts
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    parallel: int = 1
    needs: Mapping[str, int] = field(default_factory=dict)
    state_carry: bool = False
    engine: str = ""
    name: str = ""
    url: str = ""
    api_key: str | None = field(default=None, repr=False)
    api_key_env: str | None = None
    endpoints: tuple[str, ...] = ()
    health_path: str | None = None
    ready_status: int = 200
    stop_signal: str = "SIGTERM"

    def answers(self, path: str) -> bool:
        """Whether the engine has this path, as far as is configured."""
        return not self.endpoints or any(
            path == each or (each.endswith("/") and path.startswith(each))
            for each in self.endpoints
        )

    @property
    def label(self) -> str:
        """The variant's name in logs and headers, and its key: ``model@name``."""
        return f"{self.model}@{self.name or self.context}"

    @property
    def capacity(self) -> int:
        """By how much room variants are compared: tokens, 0 where none are counted."""
        return self.context or 0

    @property
    def shown(self) -> int | str | None:
        """What clients see of it among its model's variants: its context, else its name."""
        return self.name or self.context


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model under the name that clients ask for, its variants in ascending capacity."""

    name: str
    variants: tuple[VariantSpec, ...]
    aliases: tuple[str, ...] = ()
    connect: str | None = None
    group: str | None = None
    pinned: bool = False
    grow_answers: bool = False
    grow_ahead: bool = False
    tokenization: TokenizationSpec = field(default_factory=TokenizationSpec)
    capabilities: frozenset[str] | None = None
    set_params: Mapping[str, Any] = field(default_factory=dict)
    strip_params: tuple[str, ...] = ()
    upstream_model: str | None = None
    alias_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """The name of its engines' type; "" for the default one."""
        return self.variants[0].engine

    @property
    def largest(self) -> VariantSpec:
        """The variant with the most room for a request."""
        return self.variants[-1]

    def smallest_holding(self, tokens: int) -> VariantSpec | None:
        """The smallest variant that has room for ``tokens``, or None when none has."""
        return next((v for v in self.variants if v.capacity >= tokens), None)

    @property
    def counted(self) -> bool:
        """Whether the tokens of its requests are counted: some variant has a context."""
        return self.largest.capacity > 0
