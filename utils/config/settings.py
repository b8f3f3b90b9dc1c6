"""The ``server`` table: every setting of the whole gateway, with its default and its meaning.

The first two classes hold what a model or a variant may set for itself. Times are seconds,
sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from utils.config.schema import key, read

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on; ``host`` without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSettings:
    """What may stand in ``server``, in a model and in a variant; the innermost counts."""

    health_check_timeout: float = field(
        default=5.0,
        metadata=key(
            "seconds",
            "How long one health check of an engine may take.",
            inherits=True,
            reload="start",
        ),
    )
    engine_startup_timeout: float = field(
        default=300.0,
        metadata=key(
            "seconds",
            "How long an engine may take to load its model. After that it is stopped, and the "
            "client gets an error.",
            inherits=True,
            reload="start",
        ),
    )
    engine_idle_timeout: float = field(
        default=900.0,
        metadata=key(
            "seconds",
            "After this time without a request the engine is stopped and its memory is free. "
            "[`keep_alive`](#how-long-a-model-stays-loaded) in a request overrides it.",
            inherits=True,
        ),
    )
    engine_stop_timeout: float = field(
        default=10.0,
        metadata=key(
            "seconds",
            "How long an engine that was asked to stop may take before it is killed.",
            inherits=True,
            reload="start",
        ),
    )
    stall_timeout: float = field(
        default=600.0,
        metadata=key(
            "delay",
            "An engine is replaced when nothing moves on its requests for this long: see "
            "[Engines that hang](#engines-that-hang). `0`: never.",
            inherits=True,
            reload="start",
        ),
    )
    state_carry: bool = field(
        default=True,
        metadata=key(
            "flag",
            "What an engine has read of its prompts is saved and restored: see "
            "[Carried state](#carried-state).",
            inherits=True,
            reload="start",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings(VariantSettings):
    """What may stand in ``server`` and in a model."""

    grow_answers: bool = field(
        default=True,
        metadata=key(
            "flag",
            "An answer that fills the context of its variant goes on in a larger one: see "
            "[Growing answers](#growing-answers).",
            inherits=True,
        ),
    )
    grow_ahead: bool = field(
        default=False,
        metadata=key(
            "flag",
            "The larger variant is loaded before a conversation needs it: see "
            "[Growing answers](#growing-answers).",
            inherits=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """The value of ``port_range``, as it is checked."""

    first: int = field(metadata=key("port", "The first port."))
    last: int = field(metadata=key("port", "The last port."))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings(ModelSettings):
    """Settings of the whole gateway."""

    listen_v4: str = field(
        default="127.0.0.1:7777",
        metadata=key(
            "listen_v4",
            'Where clients connect, or `"none"`. `"0.0.0.0:7777"` opens the gateway to your '
            "network.",
            reload="restart",
        ),
    )
    listen_v6: str = field(
        default="none",
        metadata=key(
            "listen_v6",
            'The same for IPv6, such as `"[::1]:7777"`. One of the two must be an address.',
            reload="restart",
        ),
    )
    health_check_interval: float = field(
        default=10.0,
        metadata=key(
            "delay",
            "How often the health of a running engine is checked, whether it has requests or not: "
            "see [Engines that hang](#engines-that-hang). `0`: never.",
            reload="start",
        ),
    )
    health_check_failures: int = field(
        default=3,
        metadata=key(
            "positive",
            "After so many failed checks in a row an engine is replaced.",
            reload="start",
        ),
    )
    shutdown_timeout: float = field(
        default=30.0,
        metadata=key(
            "seconds", "How long answers in progress may go on when the gateway is stopped."
        ),
    )
    keepalive_interval: float = field(
        default=5.0,
        metadata=key(
            "seconds", "A streaming client that waits hears something at least this often."
        ),
    )
    client_timeout: float = field(
        default=60.0,
        metadata=key(
            "seconds",
            "A client that sends nothing of its request, or reads nothing of its answer, for this "
            "long is cut off.",
        ),
    )
    max_request_bytes: int = field(
        default=64 * 1024 * 1024,
        metadata=key(
            "positive",
            "Larger requests are refused (64 MiB: images travel inside the request), and larger "
            "websocket messages. llama-server itself takes no sound file beyond 100 MB.",
        ),
    )
    max_queue: int = field(
        default=64,
        metadata=key(
            "positive",
            "How many requests may wait their turn; one more is told to try again later.",
        ),
    )
    max_loaded_models: int = field(
        default=1,
        metadata=key(
            "positive",
            "How many engines may live at once: see [Several engines](#several-engines).",
        ),
    )
    max_switch_wait: float = field(
        default=30.0,
        metadata=key(
            "delay",
            "How long a request that needs another engine may be overtaken by later ones that do "
            "not: see [The queue](#the-queue). `0`: not at all.",
        ),
    )
    min_residency: float = field(
        default=5.0,
        metadata=key(
            "delay",
            "A new engine stays at least this long while there are requests for it, even if "
            "others wait for its room.",
        ),
    )
    priority_header: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Whether requests may say how urgent they are, by `X-Priority`: see "
            "[The queue](#the-queue).",
        ),
    )
    port_range: tuple[int, int] | None = field(
        default=None,
        metadata=key(
            "port_range",
            "`{ first = 50000, last = 50099 }`: the ports of engines without `connect`. Without "
            "it, free ones between 16384 and 32767, which no system gives to outgoing connections.",
        ),
    )
    resources: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=key(
            "resources",
            "What the machine has, under names of your own: "
            '`{ gpu0 = "24GiB", ram = "64GiB" }`. See [Several engines](#several-engines).',
        ),
    )
    memory_wait: float = field(
        default=5.0,
        metadata=key(
            "delay",
            "How long after the end of an engine the next start may wait for its memory to come "
            "back: see [Memory](#memory). `0`: never.",
            reload="restart",
        ),
    )
    shrink_after: float = field(
        default=300.0,
        metadata=key(
            "delay",
            "After this time without a request, an engine larger than the last requests needed is "
            "replaced by a smaller variant, if nobody waits. `0`: it never is.",
        ),
    )
    shrink_requests: int = field(
        default=4,
        metadata=key(
            "positive", "How many requests in a row must have fitted the smaller variant before."
        ),
    )
    default_model: str | None = field(
        default=None,
        metadata=key(
            "name", "The model of requests that name none. An only model needs no default."
        ),
    )
    state_budget: int = field(
        default=16 * 1024**3,
        metadata=key(
            "bytes",
            'How much disk space saved states may take (16 GiB); `"8GiB"` or a number of bytes.',
            reload="restart",
        ),
    )
    state_timeout: float = field(
        default=10.0,
        metadata=key(
            "seconds",
            "How long an engine may take to save its states, or to restore one; then the prompt "
            "is read again.",
            reload="restart",
        ),
    )
    warm_loads: bool = field(
        default=True,
        metadata=key(
            "flag",
            "The files of the engine that starts next are read ahead while it waits: see "
            "[Load times](#load-times).",
            reload="restart",
        ),
    )
    hosts: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "hosts",
            "Other names by which clients call this machine, without port, such as "
            '`"llm.example.com"`; `"*"`: any name. See [Names](#names).',
        ),
    )
    cors_origins: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "origins",
            'Web pages that may use the gateway, such as `"https://chat.example.com"`, beside '
            'those that this machine serves itself; `"*"`: all.',
        ),
    )
    admin_token: str | None = field(
        default=None,
        repr=False,
        metadata=key(
            "secret",
            "A token for the admin paths, beside the one that the gateway makes for itself: see "
            "[operation.md](operation.md#the-admin-token). ASCII, no spaces; "
            "`openssl rand -hex 16` makes a good one, and "
            '`admin_token = os.getenv("…")` keeps it out of the file.',
        ),
    )
    log_level: str = field(
        default="info",
        metadata=key("log_level", '`"debug"`, `"info"`, `"warning"` or `"error"`.'),
    )
    state_dir: str | None = field(
        default=None,
        metadata=key(
            "text",
            "Where the gateway keeps what must outlive it: which engines run, what was learnt of "
            "their memory and load times, and saved states. Without it: the usual folder of your "
            "system.",
            reload="restart",
        ),
    )

    # Made by the gateway, not set in the file: it opens the admin paths, as admin_token does.
    own_token: str = field(default="", repr=False)

    @property
    def listen(self) -> tuple[Endpoint, ...]:
        """The addresses to listen on, IPv4 before IPv6."""
        given = (self.listen_v4, self.listen_v6)
        return tuple(endpoint(text) for text in given if text != "none")


def endpoint(text: str) -> Endpoint:
    """The address written as ``host:port`` or ``[host]:port``."""
    host, _, port = text.rpartition(":")
    return Endpoint(host.removeprefix("[").removesuffix("]"), int(port))


def server_settings(table: Mapping[str, Any]) -> ServerSettings:
    """The settings of a checked ``server`` table; what it leaves out keeps its default."""
    return read(ServerSettings, table)
