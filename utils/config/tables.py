"""What a configuration is once it left Lua: plain tables, checked, their defaults not yet applied.

``post.lua`` vouches for these types; the keys are those of ``utils/config/lua/schema.lua``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence


class TimeoutsTable(TypedDict, total=False):
    """The waits that may stand in a variant, its model or the server."""

    health_check_timeout: float
    engine_startup_timeout: float
    engine_idle_timeout: float
    engine_stop_timeout: float


class PortRangeTable(TypedDict):
    """The ports of engines without an address of their own, both ends included."""

    first: int
    last: int


class ServerTable(TimeoutsTable, total=False):
    """The ``server`` table."""

    listen_v4: str
    listen_v6: str
    health_check_interval: float
    health_check_failures: int
    shutdown_timeout: float
    keepalive_interval: float
    client_timeout: float
    max_request_bytes: int
    max_queue: int
    max_loaded_models: int
    max_switch_wait: float
    min_residency: float
    priority_header: bool
    port_range: PortRangeTable
    resources: dict[str, int]
    memory_wait: float
    shrink_after: float
    shrink_requests: int
    default_model: str
    state_carry: bool
    state_budget: int
    state_timeout: float
    grow_answers: bool
    grow_ahead: bool
    warm_loads: bool
    cors_origins: list[str]
    admin_token: str
    log_level: str
    state_dir: str


class TokenizationTable(TypedDict, total=False):
    """A model's ``tokenization`` table."""

    binary: str
    extra_args: list[str]
    extra_tokens_per_message: int
    extra_tokens_per_request: int
    extra_tokens_per_image: int
    extra_tokens_per_audio: int
    default_max_tokens: int
    max_reserved_tokens: int


class EnvTable(TypedDict):
    """One environment variable of a variant."""

    name: str
    value: str


class _VariantRequired(TypedDict):
    binary: str
    context: int


class VariantTable(_VariantRequired, TimeoutsTable, total=False):
    """One element of a model's ``variants``."""

    args: list[str]
    env: list[EnvTable]
    parallel: int
    needs: dict[str, int]
    state_carry: bool


class AliasTable(TypedDict):
    """An alias with parameters of its own."""

    name: str
    params: dict[str, Any]


class _ModelRequired(TypedDict):
    name: str
    variants: list[VariantTable]


class ModelTable(_ModelRequired, TimeoutsTable, total=False):
    """One element of ``models``."""

    aliases: list[str | AliasTable]
    engine: str
    connect: str
    group: str
    pinned: bool
    grow_answers: bool
    grow_ahead: bool
    state_carry: bool
    tokenization: TokenizationTable
    capabilities: list[str]
    set_params: dict[str, Any]
    strip_params: list[str]
    upstream_model: str


class GroupSettingsTable(TypedDict, total=False):
    """One entry of ``groups``."""

    persistent: bool


class GroupTable(GroupSettingsTable):
    """The same with its name; a list, since a name may hold a dot."""

    name: str


class Tables(NamedTuple):
    """All of a configuration."""

    server: ServerTable
    models: list[ModelTable]
    groups: Sequence[GroupTable] = ()
