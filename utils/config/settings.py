"""The ``server`` table: every setting of the gateway, with its default and its meaning.

The first two classes are the settings that a model or a variant may override. Times are in
seconds, sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from utils.config.accounts import AccountsSettings
from utils.config.schema import key, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from utils.config.written import Written

# How many ports ``port_range_start`` stands for, and the last one that there is.
_PORTS, _LAST_PORT = 1000, 65535


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to listen on; ``host`` has no brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSettings:
    """Settings of ``server``, a model or a variant; the innermost one counts."""

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
            "How long an engine may take to load its model. Then it is stopped, and the client "
            "gets an error.",
            inherits=True,
            reload="start",
        ),
    )
    engine_idle_timeout: float = field(
        default=900.0,
        metadata=key(
            "idle",
            "After this time without a request the engine is stopped, which frees its memory. "
            "[`keep_alive`](#how-long-a-model-stays-loaded) in a request overrides it.",
            inherits=True,
        ),
    )
    engine_stop_timeout: float = field(
        default=10.0,
        metadata=key(
            "seconds",
            "How long an engine may take to stop before it is killed.",
            inherits=True,
            reload="start",
        ),
    )
    stall_timeout: float = field(
        default=600.0,
        metadata=key(
            "delay",
            "An engine is replaced if its requests make no progress for this long: see "
            "[Engines that hang](#engines-that-hang). `0`: never.",
            inherits=True,
            reload="start",
        ),
    )
    on_ready: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "command",
            "A command that runs each time an engine has become ready: see "
            "[Commands of engines](#commands-of-engines).",
            inherits=True,
        ),
    )
    on_stop: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "command",
            "A command that runs each time an engine that was ready has ended.",
            inherits=True,
        ),
    )
    state_carry: bool = field(
        default=True,
        metadata=key(
            "flag",
            "Save the prompt cache of an engine to disk when it stops, and restore it later: see "
            "[Saved prompt caches](#saved-prompt-caches).",
            inherits=True,
            reload="start",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings(VariantSettings):
    """Settings of ``server`` or a model; the model's count."""

    grow_answers: bool = field(
        default=True,
        metadata=key(
            "flag",
            "Continue an answer that fills the context of its variant in a larger variant: see "
            "[Continuation](#continuation).",
            inherits=True,
        ),
    )
    grow_ahead: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Load the larger variant before a conversation needs it: see "
            "[Continuation](#continuation).",
            inherits=True,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """The value of ``port_range``."""

    first: int = field(metadata=key("port", "The first port."))
    last: int = field(metadata=key("port", "The last port."))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotTable:
    """One element of ``slots``."""

    port: int = field(metadata=key("port", "The port of its engine, which is its number."))
    type: str | None = field(
        default=None,
        metadata=key(
            "slot_type",
            'What its models must be able to do: `"text"`, `"vision"` (text and images), '
            '`"omni"` (text, images and sound), `"embedding"`, `"vision-embedding"`, `"audio"` '
            '(transcription) or `"tts"` (speech). Without it: any model.',
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTable:
    """The value of ``tls``."""

    cert: str = field(
        metadata=key("text", "The certificate, and those of the authorities below its root (PEM).")
    )
    key: str = field(metadata=key("text", "The private key of the certificate (PEM), unencrypted."))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings(ModelSettings):
    """Settings of the whole gateway."""

    listen_v4: str = field(
        default="127.0.0.1:7777",
        metadata=key(
            "listen_v4",
            'The address for clients, or `"none"`. `"0.0.0.0:7777"` opens the gateway to your '
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
    tls: TlsTable | None = field(
        default=None,
        metadata=key(
            "tls",
            '`{ cert = "server.crt", key = "server.key" }`: serve https instead of http. See '
            "[tls](#tls).",
            each=TlsTable,
        ),
    )
    trusted_proxies: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "networks",
            "The reverse proxies in front of the gateway, by address or network: "
            '`{ "127.0.0.1", "10.0.0.0/8" }`. See [Behind a proxy](#behind-a-proxy).',
        ),
    )
    health_check_interval: float = field(
        default=10.0,
        metadata=key(
            "delay",
            "The time between two health checks of a running engine, with or without requests: "
            "see [Engines that hang](#engines-that-hang). `0`: no checks.",
            reload="start",
        ),
    )
    health_check_failures: int = field(
        default=3,
        metadata=key(
            "positive",
            "After this number of failed health checks in a row an engine is replaced.",
            reload="start",
        ),
    )
    shutdown_timeout: float = field(
        default=30.0,
        metadata=key("seconds", "How long requests in flight may go on when the gateway stops."),
    )
    keepalive_interval: float = field(
        default=5.0,
        metadata=key(
            "seconds", "A waiting streaming client gets a keep-alive comment at least this often."
        ),
    )
    client_timeout: float = field(
        default=60.0,
        metadata=key(
            "seconds",
            "A client is disconnected if it sends nothing of its request, or reads nothing of its "
            "answer, for this long.",
        ),
    )
    fast_lane: bool = field(
        default=True,
        metadata=key(
            "flag",
            "Whether plain requests to models are read by a faster HTTP server than all others. "
            "If an answer looks broken, turn it off to see if it is the cause. Holds for new "
            "connections.",
        ),
    )
    max_request_bytes: int = field(
        default=64 * 1024 * 1024,
        metadata=key(
            "positive",
            "The largest request, and the largest websocket message. The default is 64 MiB, as "
            "images are part of a request. llama-server refuses sound files of more than 100 MB.",
        ),
    )
    max_body_memory: int = field(
        default=512 * 1024 * 1024,
        metadata=key(
            "bytes",
            "How much memory the bodies of all requests under way may take (512 MiB); the first "
            "64 KiB of each are not counted. One that does not fit is answered with 503 and "
            "`Retry-After`; the files of a form go to disk. At least `max_request_bytes`.",
        ),
    )
    max_queue: int = field(
        default=64,
        metadata=key(
            "positive",
            "How many requests may wait in the queue; a further one gets an error and "
            "`Retry-After`.",
        ),
    )
    max_answers: int = field(
        default=16,
        metadata=key(
            "positive",
            "How many answers a request may ask for with `n`. Those for which its engine has too "
            "few slots are given one after another.",
        ),
    )
    max_voice_sessions: int = field(
        default=16,
        metadata=key("positive", "How many [live voice sessions](voice.md) may be open at once."),
    )
    max_voice_per_client: int = field(
        default=4,
        metadata=key("positive", "How many of them one client, or one account, may have."),
    )
    voice_activity_model: bool = field(
        default=True,
        metadata=key(
            "flag",
            "Whether these sessions tell speech from noise by silero's model, where "
            "`./init.sh speech` has installed it; else by its loudness.",
        ),
    )
    voice_turn_model: str | None = field(
        default=None,
        metadata=key(
            "text",
            "The file of a model that guesses whether a person has said all, which then shortens "
            "the silence that ends a turn: see [Live voice](voice.md#the-end-of-a-turn).",
        ),
    )
    max_loaded_models: int = field(
        default=1,
        metadata=key(
            "positive",
            "How many engines may run at once: see [Several engines](#several-engines).",
        ),
    )
    max_switch_wait: float = field(
        default=30.0,
        metadata=key(
            "delay",
            "How long later requests for the running engine may go before a request that needs "
            "another engine: see [The queue](#the-queue). `0`: not at all.",
        ),
    )
    min_residency: float = field(
        default=5.0,
        metadata=key(
            "delay",
            "A new engine with requests stays at least this long, even if requests for other "
            "engines wait.",
        ),
    )
    priority_header: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Whether requests may set their priority with `X-Priority`: see "
            "[The queue](#the-queue).",
        ),
    )
    port_range: tuple[int, int] | None = field(
        default=None,
        metadata=key(
            "port_range",
            "`{ first = 50000, last = 50099 }`: the ports for engines without `connect`. Without "
            "it: free ports from 16384 to 32767, which no system uses for outgoing connections.",
        ),
    )
    slots: tuple[SlotTable, ...] = field(
        default=(),
        metadata=key(
            "slots",
            '`{ { port = 4801, type = "text" }, { port = 4802 } }`: numbered places for engines. '
            "See [slot](#slot).",
            reload="start",
            each=SlotTable,
        ),
    )
    port_range_start: int | None = field(
        default=None,
        metadata=key(
            "port",
            "The same by its first port alone: with it, and up to 1000 ports from it on, engines "
            "get the first free one.",
        ),
    )
    resources: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=key(
            "resources",
            "The resources of the machine, under names of your choice: "
            '`{ gpu0 = "24GiB", ram = "64GiB" }`. See [Several engines](#several-engines).',
        ),
    )
    memory_wait: float = field(
        default=5.0,
        metadata=key(
            "delay",
            "How long after the end of an engine a start may wait until its memory is free: see "
            "[Memory](#memory). `0`: no wait.",
            reload="restart",
        ),
    )
    shrink_after: float = field(
        default=300.0,
        metadata=key(
            "delay",
            "After this time without a request, an engine that is larger than the last requests "
            "needed is replaced by a smaller variant, if no request waits. `0`: never.",
        ),
    )
    shrink_requests: int = field(
        default=4,
        metadata=key(
            "positive", "How many requests in a row must have fit the smaller variant before that."
        ),
    )
    default_model: str | None = field(
        default=None,
        metadata=key(
            "name",
            "The model or route for requests that name none, if it can do what they need: see "
            "[Routing](routing.md). A single model is the default itself.",
        ),
    )
    preload: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "words",
            "Models whose engines are started with the gateway, before the first request for them.",
            reload="restart",
        ),
    )
    capture_budget: int = field(
        default=0,
        metadata=key(
            "bytes",
            "How much memory whole requests to models and their answers may take, for operators at "
            '`/admin/captures`: a number of bytes, or a text such as `"64MiB"`. `0`: nothing is '
            "captured. They hold what clients wrote; keys and cookies are left out.",
        ),
    )
    capture_folder: str | None = field(
        default=None,
        metadata=key(
            "text",
            "A folder for what `capture_budget` lets be captured: a JSON file for each request, "
            "which only its owner may read. Without it nothing of this is on disk. "
            "`DELETE /admin/captures` removes the files, too.",
        ),
    )
    capture_disk_budget: int = field(
        default=256 * 1024**2,
        metadata=key(
            "bytes",
            "The disk space for the files in `capture_folder` (256 MiB): a number of bytes, or a "
            'text such as `"1GiB"`. The oldest make room for new ones.',
        ),
    )
    list_aliases: bool = field(
        default=True,
        metadata=key(
            "flag",
            "Whether `/v1/models` has an entry of its own for each alias, which names its model as "
            "`alias_of`.",
        ),
    )
    state_budget: int = field(
        default=16 * 1024**3,
        metadata=key(
            "bytes",
            "The disk space for saved prompt caches (16 GiB): a number of bytes, or a text such "
            'as `"8GiB"`.',
            reload="restart",
        ),
    )
    state_timeout: float = field(
        default=10.0,
        metadata=key(
            "seconds",
            "How long an engine may take to save its slots, or to restore one. Then the engine "
            "prefills the prompt instead.",
            reload="restart",
        ),
    )
    responses_budget: int = field(
        default=256 * 1024**2,
        metadata=key(
            "bytes",
            "The space for stored responses and conversations (256 MiB); those that were used "
            "least recently are forgotten first. See [responses.md](responses.md).",
            reload="restart",
        ),
    )
    responses_count: int = field(
        default=10_000,
        metadata=key(
            "positive",
            "How many responses and conversations are stored.",
            reload="restart",
        ),
    )
    responses_age: float = field(
        default=30 * 24 * 3600.0,
        metadata=key(
            "seconds",
            "How long a response or conversation that nobody uses is stored (30 days).",
            reload="restart",
        ),
    )
    responses_on_disk: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Store responses and conversations in `state_dir`, where they outlive the gateway, "
            "instead of in memory.",
            reload="restart",
        ),
    )
    warm_loads: bool = field(
        default=True,
        metadata=key(
            "flag",
            "Preload: read the files of the next engine into the page cache while it waits. See "
            "[Load times](#load-times).",
            reload="restart",
        ),
    )
    hosts: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "hosts",
            "Other names of this machine that clients use, without a port, such as "
            '`"llm.example.com"`; `"*"`: any name. See [Names](#names).',
        ),
    )
    cors_origins: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "origins",
            'Web pages that may use the gateway, such as `"https://chat.example.com"`. Pages that '
            'this machine serves always may. `"*"`: all pages.',
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
            "The folder for data that outlives the gateway: which engines run, their learnt "
            "memory needs and load times, and saved prompt caches. Without it: the usual folder "
            "of your system.",
            reload="restart",
        ),
    )

    # Made by the gateway, not set in the file: a token for the admin paths, like admin_token.
    own_token: str = field(default="", repr=False)
    # The table ``accounts`` of the file; None without one.
    accounts: AccountsSettings | None = None
    # What of all this the file says; None if it is not known.
    written: Written | None = field(default=None, repr=False, compare=False)

    @property
    def scheme(self) -> str:
        """The scheme of the gateway's URLs."""
        return "http" if self.tls is None else "https"

    @property
    def ports(self) -> tuple[int, int] | None:
        """Return the first and the last port for engines; None for any."""
        if self.port_range is not None or self.port_range_start is None:
            return self.port_range
        return self.port_range_start, min(_LAST_PORT, self.port_range_start + _PORTS - 1)

    @property
    def listen(self) -> tuple[Endpoint, ...]:
        """Return the addresses to listen on, IPv4 before IPv6."""
        given = (self.listen_v4, self.listen_v6)
        return tuple(endpoint(text) for text in given if text != "none")


def endpoint(text: str) -> Endpoint:
    """Return the address in the form ``host:port`` or ``[host]:port``."""
    host, _, port = text.rpartition(":")
    return Endpoint(host.removeprefix("[").removesuffix("]"), int(port))


def server_settings(
    table: Mapping[str, Any], accounts: Mapping[str, Any] | None = None
) -> ServerSettings:
    """Return the settings of a checked ``server`` table; a missing key has its default.

    ``accounts`` is the checked table of that name; None where there is none.
    """
    settings = read(ServerSettings, table)
    if accounts is None:
        return settings
    return replace(settings, accounts=read(AccountsSettings, accounts))
