"""The configured models and variants, as frozen values.

This file knows neither the source of the values (the Lua file) nor their use (processes, HTTP). The
variants of a model are in the order of their capacity, from the smallest to the largest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from utils.config.tables import GroupTable, TokenizationTable

if TYPE_CHECKING:
    from collections.abc import Mapping

# These tables are used as they are in the file.
TokenizationSpec = TokenizationTable
GroupSpec = GroupTable


# What Ollama's clients add to names: a tag if there is none, and the hub that a model is of.
_LATEST = ":latest"
_HUBS = ("hf.co/", "huggingface.co/")


def untagged(name: str) -> str:
    """Return the name without the tag ``:latest``, and without the name of a hub before it."""
    for hub in _HUBS:
        name = name.removeprefix(hub)
    return name.removesuffix(_LATEST)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds, inherited from server to model to variant; ``stall`` 0: never."""

    health_check: float
    startup: float
    idle: float
    stop: float
    stall: float = 0.0


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One way to start a model's engine, and the room that a request has in it.

    ``label`` (``model@name``) identifies a variant, also in logs and headers. ``context`` is the
    number of tokens that one request may have, prompt and answer together; None for engines that
    do not count tokens. ``needs`` is the memory that it takes by its configuration, ``estimated``
    by its plan. Without a ``name`` the context is the name. ``capacity`` is the room of a
    request in tokens, to compare variants; 0 where tokens are not counted. ``engine`` names the
    engine type; "" is the default type.

    The fields from ``url`` on are for engines that the gateway knows only through HTTP.
    ``endpoints`` are the paths that they serve, () for all. A ``health_path`` of None is that of
    the type. ``count`` names the server whose way to count tokens it has.
    """

    model: str
    context: int | None
    binary: str
    timeouts: Timeouts
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    parallel: int = 1
    needs: Mapping[str, int] = field(default_factory=dict)
    estimated: Mapping[str, int] = field(default_factory=dict)
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
    count: str = ""
    on_ready: tuple[str, ...] = ()
    on_stop: tuple[str, ...] = ()
    wake: tuple[str, ...] = ()
    max_seconds: float | None = None
    # Made once: every request reads them many times.
    label: str = field(init=False, repr=False, compare=False)
    capacity: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the label and the capacity from the other fields."""
        object.__setattr__(self, "label", f"{self.model}@{self.name or self.context}")
        object.__setattr__(self, "capacity", self.context or 0)

    def answers(self, path: str) -> bool:
        """Return whether the engine serves this path, by its configuration."""
        return not self.endpoints or any(
            path == each or (each.endswith("/") and path.startswith(each))
            for each in self.endpoints
        )

    @property
    def shown(self) -> int | str | None:
        """What clients see for this variant: its name, else its context."""
        return self.name or self.context


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model with the name in requests; its variants are in ascending order of capacity."""

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
    # Those of the aliases that were given while the gateway ran.
    copies: tuple[str, ...] = ()
    # Of the machine, not of the configuration file.
    found: bool = False
    # The bytes of a model by its file, and how its weights are stored; 0 and "" for others.
    size: int = 0
    quantisation: str = ""
    unlisted: bool = False
    fallback: tuple[str, ...] = ()
    peer: str | None = None
    # The longest sound and the longest text to speak; None for any.
    max_seconds: float | None = None
    max_characters: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # The voices that its peer tells of it, with their languages; "" if one is not known.
    voices: tuple[tuple[str, str], ...] = ()
    # Made once, as above: the largest variant, whether requests are changed before they are sent,
    # and whether their tokens are counted, which is so if a variant has a context.
    largest: VariantSpec = field(init=False, repr=False, compare=False)
    shapes: bool = field(init=False, repr=False, compare=False)
    counted: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive the last fields from the variants."""
        object.__setattr__(self, "largest", self.variants[-1])
        changes = (self.set_params, self.strip_params, self.alias_params, self.upstream_model)
        object.__setattr__(self, "shapes", any(changes))
        object.__setattr__(self, "counted", self.largest.capacity > 0)

    def params_of(self, name: str) -> Mapping[str, Any]:
        """Return the parameters of the alias ``name``, with or without the tag ``:latest``."""
        own = name if name in self.aliases else untagged(name)
        return self.alias_params.get(own, {})

    @property
    def engine(self) -> str:
        """The name of the engine type; "" for the default type."""
        return self.variants[0].engine
