"""The ``server`` table as a frozen value, every default in one place."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from utils.config.tables import ServerTable

LISTEN_V4 = "127.0.0.1:7777"
LISTEN_V6 = "none"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on; ``host`` without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of the whole gateway. Times are seconds, sizes are bytes."""

    listen: tuple[Endpoint, ...] = (Endpoint("127.0.0.1", 7777),)
    health_check_timeout: float = 5.0
    health_check_interval: float = 10.0
    health_check_failures: int = 3
    engine_startup_timeout: float = 300.0
    engine_idle_timeout: float = 900.0
    engine_stop_timeout: float = 10.0
    shutdown_timeout: float = 30.0
    keepalive_interval: float = 5.0
    client_timeout: float = 60.0
    max_request_bytes: int = 64 * 1024 * 1024
    max_queue: int = 64
    max_loaded_models: int = 1
    max_switch_wait: float = 30.0
    min_residency: float = 5.0
    priority_header: bool = False
    port_range: tuple[int, int] | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    memory_wait: float = 5.0
    shrink_after: float = 300.0
    shrink_requests: int = 4
    default_model: str | None = None
    state_carry: bool = True
    state_budget: int = 16 * 1024**3
    state_timeout: float = 10.0
    grow_answers: bool = True
    grow_ahead: bool = False
    warm_loads: bool = True
    cors_origins: tuple[str, ...] = ()
    admin_token: str | None = field(default=None, repr=False)
    log_level: str = "info"
    state_dir: str | None = None


def endpoint(text: str) -> Endpoint:
    """The address written as ``host:port`` or ``[host]:port``."""
    host, _, port = text.rpartition(":")
    return Endpoint(host.removeprefix("[").removesuffix("]"), int(port))


def server_settings(table: ServerTable) -> ServerSettings:
    """The settings of a checked ``server`` table; what it leaves out keeps its default."""
    given: dict[str, Any] = {**table}
    listen = (given.pop("listen_v4", LISTEN_V4), given.pop("listen_v6", LISTEN_V6))
    if "port_range" in given:
        ports = given["port_range"]
        given["port_range"] = ports["first"], ports["last"]
    given["cors_origins"] = tuple(given.get("cors_origins", ()))
    # Lua writes 5.0 as 5; a time is a float all the same.
    for known in fields(ServerSettings):
        if known.name in given and isinstance(known.default, float):
            given[known.name] = float(given[known.name])
    return ServerSettings(
        listen=tuple(endpoint(text) for text in listen if text != "none"), **given
    )
