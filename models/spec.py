"""What the user configured, as frozen values.

Nothing here knows where the values came from (the Lua file) or what becomes of
them (processes, HTTP). Order is meaning: a model's variants stand from the
smallest context to the largest.
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
    """One way to start a model's engine: a command line and the context it yields.

    ``engine`` names the engine's type; "" is the default one.
    """

    model: str
    context: int
    binary: str
    timeouts: Timeouts
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    parallel: int = 1
    needs: Mapping[str, int] = field(default_factory=dict)
    state_carry: bool = False
    engine: str = ""

    @property
    def label(self) -> str:
        """The variant's name in logs and headers: ``model@context``."""
        return f"{self.model}@{self.context}"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model under the name that clients ask for, with its variants in ascending context."""

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
        """The variant with the most context."""
        return self.variants[-1]

    def smallest_holding(self, tokens: int) -> VariantSpec | None:
        """The smallest variant whose context holds ``tokens``, or None when none does."""
        return next((v for v in self.variants if v.context >= tokens), None)
