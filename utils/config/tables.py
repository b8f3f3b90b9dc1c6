"""The tables of ``models`` and ``groups``: every key with its default and its meaning.

A key that only some engine types have lists them in ``engines``; the others refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from utils.config.accounts import (
    AccountsSettings,
    OidcTable,
    PriceTable,
    RateLimitsTable,
    TierTable,
)
from utils.config.local_models import DiscoverTable, LaunchOptions, ModelFolder
from utils.config.peers import PeerTable
from utils.config.routes import ClassifyTable, RouteTable, RuleTable
from utils.config.schema import Table, key
from utils.config.settings import (
    ModelSettings,
    PortRange,
    ServerSettings,
    SlotTable,
    TlsTable,
    VariantSettings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TokenizationTable:
    """A model's ``tokenization``: how its requests are sized, prompt and answer."""

    binary: str | None = field(
        default=None, metadata=key("binary", "`llama-tokenize` of your llama.cpp.")
    )
    extra_args: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "arguments",
            "Its arguments. Without `-m`, the gateway adds the model of the first variant that "
            "names one.",
        ),
    )
    extra_tokens_per_message: int = field(
        default=8, metadata=key("amount", "The tokens that the chat template adds to a message.")
    )
    extra_tokens_per_request: int = field(
        default=64,
        metadata=key("amount", "The tokens that it adds once, such as a default system prompt."),
    )
    extra_tokens_per_image: int = field(
        default=1024, metadata=key("amount", "The tokens that an image counts as.")
    )
    extra_tokens_per_audio: int = field(
        default=1024,
        metadata=key(
            "amount",
            "The tokens that a sound counts as, in a chat or a transcription. Models make about 6 "
            "to 25 tokens of a second.",
        ),
    )
    default_max_tokens: int = field(
        default=1024,
        metadata=key("positive", "The room kept for the answer if a request sets no limit."),
    )
    max_reserved_tokens: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "The largest room kept for an answer, even if its request sets a higher limit. A "
            "longer answer is continued: see [Continuation](#continuation). Without it, room for "
            "the whole limit is kept.",
        ),
    )


@dataclass(frozen=True, slots=True)
class GroupTable:
    """One entry of ``groups``, with its name."""

    name: str
    persistent: bool = field(
        default=False,
        metadata=key("flag", "Engines of the group are not evicted for models of other groups."),
    )


class AliasTable(TypedDict):
    """An alias with its own parameters."""

    name: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTable(VariantSettings):
    """One element of a model's ``variants``."""

    binary: str = field(
        default="",
        metadata=key(
            "binary",
            "The `llama-server`, `whisper-server`, server of Piper or `espeak-ng` to start. "
            "Without it: for the type `llamacpp` the bundled llama-server, for `whisper` and "
            "`piper` the embedded one, for `espeak` that of the machine: see [Speech](speech.md).",
            shown="presets.bundled.server",
            engines=("llamacpp", "whisper", "piper", "espeak"),
            reload="engine",
        ),
    )
    args: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "arguments",
            'Its arguments, as texts or numbers: `{ "-m", "/path/to/model.gguf", "-c", 8192 }`.',
            engines=("llamacpp", "whisper", "piper", "espeak"),
            reload="engine",
        ),
    )
    command: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "command",
            "The program to start, and its arguments. `${PORT}` is replaced by the port on which "
            "it must listen, `${MODEL}` by the model's name; also in `env`.",
            required=True,
            engines=("generic",),
            reload="engine",
        ),
    )
    context: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "The tokens of one request at most, prompt and answer together. For llama-server: "
            "the `-c` of `args`, divided by `-np` if that is more than 1. Without it no tokens "
            "are counted.",
            required_by=("llamacpp",),
            reload="name",
        ),
    )
    name: str = field(
        default="",
        metadata=key(
            "variant_name",
            "The variant's name in the log, in headers and for `/admin/load`. Without it: its "
            "`context`.",
            reload="name",
        ),
    )
    env: Mapping[str, str] = field(
        default_factory=_nothing,
        metadata=key(
            "env", 'Environment variables: `{ CUDA_VISIBLE_DEVICES = "0" }`.', reload="engine"
        ),
    )
    parallel: int = field(
        default=1,
        metadata=key(
            "positive",
            "How many requests the engine serves at once. Give llama-server the same number of "
            "slots with `-np`. For the type `remote` the default is 16.",
        ),
    )
    needs: Mapping[str, int] = field(
        default_factory=_nothing,
        metadata=key(
            "resources",
            "The part of `server.resources` that the engine takes while it runs: "
            '`{ gpu0 = "18GiB" }`. Missing amounts are learnt: see [Memory](#memory).',
        ),
    )
    # Not set in the file but planned: what the engine is expected to take, by resource.
    estimated: Mapping[str, int] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable(ModelSettings):
    """One element of ``models``."""

    name: str = field(
        default="",
        metadata=key(
            "name",
            "The name in requests. Names and aliases must be unique. A model with `path` or `hf` "
            "needs none: it is called by its file, or by its repository.",
            required_by=("generic", "remote"),
            reload="name",
        ),
    )
    path: str | None = field(
        default=None,
        metadata=key(
            "file",
            'The model\'s file, such as `"~/models/x.gguf"`; of several parts the first. The '
            "gateway plans its variants, see [defaults](#defaults) for the options.",
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    hf: str | None = field(
        default=None,
        metadata=key(
            "repository",
            'The same for a model in the hub cache: `"org/repo:Q4_K_M"`. Without a quantisation: '
            "`Q4_K_M`, else `Q8_0`, else the first.",
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    file: str | None = field(
        default=None,
        metadata=key(
            "path_inside",
            "With `hf`: the file in the repository, instead of a quantisation.",
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    revision: str | None = field(
        default=None,
        metadata=key(
            "path_inside",
            "With `hf`: the branch or the commit. Without it: `main`.",
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    download: str = field(
        default="never",
        metadata=key(
            "download",
            'With `hf`: when a model that is not in the hub cache is fetched. `"start"`: when the '
            'gateway starts; `"request"`: when a request names it; `"never"`: not at all. See '
            "[models.md](models.md#from-the-configuration).",
            engines=("llamacpp",),
        ),
    )
    mmproj: str | bool | None = field(
        default=None,
        metadata=key(
            "projector",
            "With `path` or `hf`: the file of its projector, `false` for none. Without it: the "
            "one beside the model that [fits](models.md#what-is-a-model).",
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    draft: str | None = field(
        default=None,
        metadata=key(
            "file",
            "With `path` or `hf`: the file of a draft model, for speculative decoding.",
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    aliases: tuple[str | AliasTable, ...] = field(
        default=(),
        metadata=key(
            "aliases",
            "Other names for the model. An alias may have its own parameters, which override "
            '`set_params`: `{ "qwen", ["qwen:think"] = { temperature = 0.6 } }`.',
        ),
    )
    engine: str = field(
        default="llamacpp",
        metadata=key(
            "engine_type",
            "The type of engine: `presets.engines.llamacpp`, `presets.engines.whisper`, "
            "`presets.engines.piper`, `presets.engines.espeak`, `presets.engines.generic` or "
            "`presets.engines.remote`. See "
            "[Other engines](#other-engines).",
            shown="presets.engines.llamacpp",
            reload="engine",
        ),
    )
    connect: str | None = field(
        default=None,
        metadata=key(
            "connect",
            'Where the engine listens, such as `"http://127.0.0.1:8080"`. Without it the gateway '
            "picks a free port and tells the engine.",
            engines=("llamacpp", "generic", "whisper", "piper", "espeak"),
            reload="engine",
        ),
    )
    url: str = field(
        default="",
        metadata=key(
            "url",
            'Where requests are sent: `"https://api.example.com"`.',
            required=True,
            engines=("remote",),
            reload="engine",
        ),
    )
    api_key: str | None = field(
        default=None,
        repr=False,
        metadata=key(
            "secret",
            "The key that the gateway sends to the engine as `Authorization: Bearer …`. Use "
            "`api_key_env` to keep it out of the file.",
            engines=("generic", "remote"),
            reload="engine",
        ),
    )
    api_key_env: str | None = field(
        default=None,
        metadata=key(
            "name",
            "The variable in the gateway's environment that has this key.",
            engines=("generic", "remote"),
            reload="engine",
        ),
    )
    endpoints: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "paths",
            'The paths that the engine serves: `{ "/v1/embeddings" }`. A path that ends in `/` '
            "includes all paths below it. Requests for other paths are refused. Without it, all "
            "requests are passed on.",
        ),
    )
    health_path: str | None = field(
        default=None,
        metadata=key(
            "path",
            "The path of the health check. For `llamacpp` and `generic` the default is "
            '`"/health"`. For the type `remote` there is no health check without it.',
            reload="start",
        ),
    )
    ready_status: int = field(
        default=200,
        metadata=key(
            "status",
            "The status of the health check when the engine is ready.",
            engines=("generic", "remote"),
            reload="start",
        ),
    )
    count: str = field(
        default="",
        metadata=key(
            "counting",
            'How the running server counts a prompt: as `"vllm"` (`/tokenize`), `"tabbyapi"` '
            '(`/v1/token/encode`) or `"koboldcpp"` (`/api/extra/tokencount`) does. Without it, '
            "lengths are estimated.",
            engines=("generic", "remote"),
            reload="start",
        ),
    )
    stop_signal: str = field(
        default="SIGTERM",
        metadata=key(
            "signal",
            "The signal that stops the engine.",
            engines=("generic",),
            reload="start",
        ),
    )
    group: str | None = field(
        default=None,
        metadata=key(
            "name",
            "Models of one group may run side by side: see [Several engines](#several-engines).",
        ),
    )
    pinned: bool = field(
        default=False,
        metadata=key("flag", "The model's engine is not evicted for other models."),
    )
    tokenization: TokenizationTable = field(
        default_factory=TokenizationTable,
        metadata=key(
            "tokenization",
            "How tokens are counted when the engine does not run: see below.",
            each=TokenizationTable,
        ),
    )
    capabilities: frozenset[str] | None = field(
        default=None,
        metadata=key(
            "capabilities",
            'What the model can do: `"text"`, `"vision"`, `"audio"`, `"embeddings"`, '
            '`"rerank"`, `"tools"`, `"speech"` (it speaks), `"image"` (it draws). Without it, the '
            "arguments of the variants tell (`--mmproj`, `--embeddings`, `--reranking`, "
            "`--no-jinja` …), its files (a chat template without tools …) and the engine itself "
            "once it runs. Clients see this list, and requests for anything else are refused.",
        ),
    )
    set_params: Mapping[str, Any] = field(
        default_factory=_nothing,
        metadata=key(
            "params",
            "Parameters that are set in every request to this model, and override its own: "
            "`{ temperature = 0.7, chat_template_kwargs = { enable_thinking = false } }`.",
        ),
    )
    strip_params: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "param_names", "Parameters that are removed from every request, before `set_params`."
        ),
    )
    upstream_model: str | None = field(
        default=None,
        metadata=key(
            "name",
            "The `model` in requests to the engine. Without it, the engine gets the client's.",
        ),
    )
    fallback: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "targets",
            "Models or routes that answer in its place if its engine cannot be loaded: for want of "
            "memory, or because it does not start. See "
            "[Where a model cannot be loaded](routing.md#where-a-model-cannot-be-loaded).",
        ),
    )
    unlisted: bool = field(
        default=False,
        metadata=key(
            "flag", "The model is not shown in lists of models; requests may name it all the same."
        ),
    )
    metadata: Mapping[str, Any] = field(
        default_factory=_nothing,
        metadata=key(
            "metadata",
            "Anything that clients shall read of the model in `/v1/models`: "
            '`{ family = "qwen", size = 30 }`.',
        ),
    )
    max_seconds: float | None = field(
        default=None,
        metadata=key(
            "seconds",
            "The longest sound that it takes, in seconds; longer ones are refused.",
            reload="engine",
        ),
    )
    max_characters: int | None = field(
        default=None,
        metadata=key(
            "positive", "The longest text that it speaks, in characters; longer ones are refused."
        ),
    )
    wake: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "command",
            "A command that wakes the other machine if its health check fails; the gateway then "
            "waits for up to `engine_startup_timeout`. Needs `health_path`.",
            engines=("remote",),
            reload="start",
        ),
    )
    variants: tuple[VariantTable, ...] = field(
        default=(),
        metadata=key(
            "variants",
            "The ways to start the engine, at least one: see below. A model of type `llamacpp` "
            "has either these, or `path` or `hf`.",
            required_by=("generic",),
            each=VariantTable,
        ),
    )
    # Not set in the file: whether the model was found on the machine.
    found: bool = False
    # Of a model by its file: its bytes, and how its weights are stored.
    size: int = 0
    quantisation: str = ""


# The tables, by their names in checks.lua and in the reference.
TABLES: dict[str, type[Table]] = {
    "server": ServerSettings,
    "port_range": PortRange,
    "slot": SlotTable,
    "tls": TlsTable,
    "model": ModelTable,
    "group": GroupTable,
    "tokenization": TokenizationTable,
    "variant": VariantTable,
    "defaults": LaunchOptions,
    "discover": DiscoverTable,
    "model_dirs": ModelFolder,
    "accounts": AccountsSettings,
    "price": PriceTable,
    "rate_limits": RateLimitsTable,
    "tier": TierTable,
    "oidc": OidcTable,
    "route": RouteTable,
    "rule": RuleTable,
    "classify": ClassifyTable,
    "peer": PeerTable,
}


class Tables(NamedTuple):
    """A whole configuration that Lua has checked, without the defaults.

    ``discover`` is None if no models of other programs are looked for.
    """

    server: dict[str, Any]
    models: list[dict[str, Any]]
    groups: Sequence[dict[str, Any]] = ()
    accounts: dict[str, Any] | None = None
    routes: Sequence[dict[str, Any]] = ()
    defaults: Mapping[str, Any] = MappingProxyType({})
    discover: Mapping[str, Any] | None = None
    model_dirs: Sequence[Mapping[str, Any]] = ()
    peers: Sequence[dict[str, Any]] = ()
