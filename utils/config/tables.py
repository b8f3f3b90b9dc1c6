"""The tables of ``models`` and ``groups``: every key with its default and its meaning.

A key that only some engine types have says so with ``engines``: the others refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from utils.config.schema import Table, key
from utils.config.settings import ModelSettings, PortRange, ServerSettings, VariantSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TokenizationTable:
    """A model's ``tokenization``: how much room its requests need, prompt and answer."""

    binary: str | None = field(
        default=None, metadata=key("binary", "`llama-tokenize` of your llama.cpp.")
    )
    extra_args: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "arguments",
            "Its arguments. Without `-m` among them, the model of the first variant that names "
            "one.",
        ),
    )
    extra_tokens_per_message: int = field(
        default=8, metadata=key("amount", "What the chat template adds to each message.")
    )
    extra_tokens_per_request: int = field(
        default=64,
        metadata=key("amount", "What it adds once, such as a default system prompt."),
    )
    extra_tokens_per_image: int = field(
        default=1024, metadata=key("amount", "How many tokens an image counts as.")
    )
    extra_tokens_per_audio: int = field(
        default=1024,
        metadata=key(
            "amount",
            "How many tokens a sound counts as, in a chat or to be transcribed. Models make some "
            "6 to 25 tokens of a second.",
        ),
    )
    default_max_tokens: int = field(
        default=1024,
        metadata=key("positive", "Room kept for the answer when a request sets no limit."),
    )
    max_reserved_tokens: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "The most room kept for an answer, whatever limit its request sets; a longer one "
            "grows: see [Continuation](#continuation). Without it, room for the whole limit "
            "is kept.",
        ),
    )


@dataclass(frozen=True, slots=True)
class GroupTable:
    """One entry of ``groups``, with its name."""

    name: str
    persistent: bool = field(
        default=False,
        metadata=key("flag", "The group's engines are unloaded for no model of another group."),
    )


class AliasTable(TypedDict):
    """An alias with parameters of its own."""

    name: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTable(VariantSettings):
    """One element of a model's ``variants``."""

    binary: str = field(
        default="",
        metadata=key(
            "binary",
            "The `llama-server` to start.",
            shown="presets.bundled.server",
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    args: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "arguments",
            'Its arguments, texts or numbers: `{ "-m", "/path/to/model.gguf", "-c", 8192 }`.',
            engines=("llamacpp",),
            reload="engine",
        ),
    )
    command: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "command",
            "The program to start and its arguments. `${PORT}` stands for the port on which it "
            "must listen, `${MODEL}` for the model's name; in `env` too.",
            required=True,
            engines=("generic",),
            reload="engine",
        ),
    )
    context: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "How many tokens, prompt and answer together, one request may have: of llama-server "
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
            "What the variant is called in the log, in headers and by `/admin/load`. Without it: "
            "its `context`.",
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
            "How many requests the engine answers at once; give llama-server as many slots with "
            "`-np`. Of type `remote` it is 16, unless you say otherwise.",
        ),
    )
    needs: Mapping[str, int] = field(
        default_factory=_nothing,
        metadata=key(
            "resources",
            "What the engine takes of `server.resources` while it lives: "
            '`{ gpu0 = "18GiB" }`. What is left out is learnt: see [Memory](#memory).',
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTable(ModelSettings):
    """One element of ``models``."""

    name: str = field(
        metadata=key("name", "What clients ask for. Unique, aliases included.", reload="name"),
    )
    aliases: tuple[str | AliasTable, ...] = field(
        default=(),
        metadata=key(
            "aliases",
            "Other names for the same model. One may have parameters of its own, which override "
            '`set_params`: `{ "qwen", ["qwen:think"] = { temperature = 0.6 } }`.',
        ),
    )
    engine: str = field(
        default="llamacpp",
        metadata=key(
            "engine_type",
            "The type of engine: `presets.engines.llamacpp`, `presets.engines.generic` or "
            "`presets.engines.remote`. See [Other engines](#other-engines).",
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
            engines=("llamacpp", "generic"),
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
            "What the engine is sent as `Authorization: Bearer …`. `api_key_env` keeps it out of "
            "the file.",
            engines=("generic", "remote"),
            reload="engine",
        ),
    )
    api_key_env: str | None = field(
        default=None,
        metadata=key(
            "name",
            "The variable of the gateway's environment that holds this key.",
            engines=("generic", "remote"),
            reload="engine",
        ),
    )
    endpoints: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "paths",
            'The paths that it answers: `{ "/v1/embeddings" }`; one that ends in `/` stands for '
            "all below it. Requests for others are refused. Without it, all are passed on.",
            engines=("generic", "remote"),
        ),
    )
    health_path: str | None = field(
        default=None,
        metadata=key(
            "path",
            "The path that tells whether the engine is ready. Of type `generic` it is "
            '`"/health"`, unless you say otherwise; of type `remote` nothing is asked without it.',
            engines=("generic", "remote"),
            reload="start",
        ),
    )
    ready_status: int = field(
        default=200,
        metadata=key(
            "status",
            "The status with which it answers there when it is ready.",
            engines=("generic", "remote"),
            reload="start",
        ),
    )
    stop_signal: str = field(
        default="SIGTERM",
        metadata=key(
            "signal",
            "The signal that asks it to end.",
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
        metadata=key("flag", "The model's engine is unloaded for no other model."),
    )
    tokenization: TokenizationTable = field(
        default_factory=TokenizationTable,
        metadata=key(
            "tokenization",
            "How tokens are counted while the engine does not run: see below.",
            each=TokenizationTable,
        ),
    )
    capabilities: frozenset[str] | None = field(
        default=None,
        metadata=key(
            "capabilities",
            'What the model can do, of `"text"`, `"vision"`, `"audio"`, `"embeddings"`, '
            '`"rerank"` and `"tools"`. Without it, it is read from the arguments of the variants '
            "(`--mmproj`, `--embeddings`, `--reranking`, `--no-jinja` …). It is shown to clients, "
            "and what is not in it is refused.",
        ),
    )
    set_params: Mapping[str, Any] = field(
        default_factory=_nothing,
        metadata=key(
            "params",
            "What every request to this model is given, whatever it says itself: "
            "`{ temperature = 0.7, chat_template_kwargs = { enable_thinking = false } }`.",
        ),
    )
    strip_params: tuple[str, ...] = field(
        default=(),
        metadata=key("param_names", "What is taken out of every request, before `set_params`."),
    )
    upstream_model: str | None = field(
        default=None,
        metadata=key(
            "name",
            "What the engine is told as `model`. Without it, it sees what the client wrote.",
        ),
    )
    variants: tuple[VariantTable, ...] = field(
        default=(),
        metadata=key(
            "variants",
            "The ways to start the engine, at least one: see below.",
            required_by=("llamacpp", "generic"),
            each=VariantTable,
        ),
    )


# The tables under the names that checks.lua and the reference know them by.
TABLES: dict[str, type[Table]] = {
    "server": ServerSettings,
    "port_range": PortRange,
    "model": ModelTable,
    "group": GroupTable,
    "tokenization": TokenizationTable,
    "variant": VariantTable,
}


class Tables(NamedTuple):
    """All of a configuration that Lua has checked; defaults are not in it."""

    server: dict[str, Any]
    models: list[dict[str, Any]]
    groups: Sequence[dict[str, Any]] = ()
