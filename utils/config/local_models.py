"""The tables for models by their files: ``defaults``, ``discover`` and ``model_dirs``.

A model of type ``llamacpp`` with ``path`` or ``hf`` has no variants of its own: the gateway plans
them from the model's file, the memory of the machine and these options.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from utils.config.schema import key

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENGINES = ("llamacpp",)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """How the engines of planned models are started: in ``defaults``, or in a model itself."""

    contexts: tuple[int, ...] | str = field(
        default="auto",
        metadata=key(
            "contexts",
            'The contexts of its variants: `{ 8192, 32768 }`. `"auto"`: those that the memory '
            "allows, see [models.md](models.md#plans).",
            engines=_ENGINES,
            reload="name",
        ),
    )
    context_size: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "The same for one variant: `context_size = 8192` is `contexts = { 8192 }`.",
            engines=_ENGINES,
            reload="name",
        ),
    )
    binary: str | None = field(
        default=None,
        metadata=key(
            "binary",
            "The `llama-server` to start. Without it: the one on `PATH`, else the bundled one. In "
            "`defaults` it is also that of variants without one.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    gpu_layers: int | str = field(
        default="auto",
        metadata=key(
            "layers",
            'How many layers are kept on the GPU: a number, or `-1` for all. `"auto"`: as many '
            "as fit when the engine starts.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    cpu_moe_layers: int | None = field(
        default=None,
        metadata=key(
            "amount",
            "Of how many layers the experts stay in main memory.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    cache_type: str | None = field(
        default=None,
        metadata=key(
            "cache_type",
            'The type of keys and values in the context, such as `"q8_0"`. Without it: `f16`. It '
            "is the same for all variants, so that a saved prompt fits each of them.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    flash_attention: bool | None = field(
        default=None,
        metadata=key(
            "flag",
            "Whether attention is computed the faster way. Without it: where the engine can.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    threads: int | None = field(
        default=None,
        metadata=key("positive", "Threads of the engine.", engines=_ENGINES, reload="engine"),
    )
    batch_size: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "How many tokens of a prompt are read before the engine looks at other requests.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    ubatch_size: int | None = field(
        default=None,
        metadata=key(
            "positive",
            "How many of these are computed at once.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    mlock: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Keep the model in main memory: the system must not swap it out.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    env: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}),
        metadata=key(
            "env",
            'Environment variables: `{ CUDA_VISIBLE_DEVICES = "0" }`.',
            engines=_ENGINES,
            reload="engine",
        ),
    )
    extra_args: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "arguments",
            "More arguments of the engine, after all others.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    command: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "command",
            "The engine with arguments of your own, instead of `binary` and what is planned: "
            '`{ "llama-server", "-c", 4096, "-ngl", 99 }`. The model, the host and the port are '
            "added. With `-c` it is the only variant.",
            engines=_ENGINES,
            reload="engine",
        ),
    )
    endpoints: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "paths",
            'The paths that the engine serves: `{ "/v1/" }`. Without it, all requests are passed '
            "on.",
            engines=_ENGINES,
        ),
    )
    health_path: str | None = field(
        default=None,
        metadata=key(
            "path",
            'The path of the health check. Without it: `"/health"`.',
            engines=_ENGINES,
            reload="start",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverTable:
    """The value of ``discover``: where models of other programs are looked for."""

    hf: bool = field(default=True, metadata=key("flag", "In the hub cache of Hugging Face."))
    llamacpp: bool = field(default=True, metadata=key("flag", "In the cache of llama.cpp."))
    lmstudio: bool = field(default=True, metadata=key("flag", "In the folders of LM Studio."))
    jan: bool = field(default=True, metadata=key("flag", "In the folder of Jan."))
    ollama: bool = field(
        default=False,
        metadata=key(
            "flag",
            "In the store of Ollama. Models that Ollama has converted itself may not load.",
        ),
    )
    include: tuple[str, ...] = field(
        default=(),
        metadata=key(
            "patterns",
            'Only models with such a name: `{ "qwen*", "*:Q4_K_M" }`. `*` stands for any text; '
            "capital letters do not matter.",
        ),
    )
    exclude: tuple[str, ...] = field(
        default=(), metadata=key("patterns", 'No models with such a name: `{ "*embed*" }`.')
    )
    limit: int = field(
        default=10_000,
        metadata=key("positive", "How many models are served at most: the newest files."),
    )
    watch: bool = field(
        default=False,
        metadata=key(
            "flag",
            "Look again a second after the last change in these places, not only every 10 minutes.",
            reload="restart",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """One element of ``model_dirs``."""

    path: str = field(metadata=key("file", "The folder; models in folders below it count, too."))
    keep: bool = field(
        default=False,
        metadata=key(
            "flag", "Keep models in the list while their files are away, as on a network share."
        ),
    )
