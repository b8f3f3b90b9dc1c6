"""The ready models of ``presets.servers``: how other servers than llama.cpp's are started.

Lua makes a model of the type generic from each, see lua/servers.lua, and docs/configuration.md has
what they can do from here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXTS = ("/v1/chat/completions", "/v1/completions")
_NOTHING: Mapping[str, str] = MappingProxyType({})
POSITIONAL = ""


class OtherServer(NamedTuple):
    """What is known of one server.

    * ``title``: what it is called. ``command``: the words before the flags; none if they depend on
      the machine. ``flags``: by ``model``, ``host``, ``port``, ``context`` and ``name``, the flag
      that says so; POSITIONAL for a word without a flag. ``env``: further variables.
    * ``ready``: the path that answers 200 once it is ready. ``endpoints``: what it serves, unless
      a model sets others. ``also``: what it serves with models or flags for that.
    * ``counter``: how its prompts are counted. ``upstream``: its own name for its only model.
    * ``cannot``: what clients or operators miss. ``known``: from where all this is known.
    """

    title: str
    command: tuple[str, ...] = ()
    flags: Mapping[str, str] = _NOTHING
    env: Mapping[str, str] = _NOTHING
    ready: str = "/health"
    endpoints: tuple[str, ...] = _TEXTS
    also: tuple[str, ...] = ()
    parallel: int = 1
    counter: str = ""
    upstream: str = ""
    cannot: str = ""
    known: str = "its documents"


SERVERS: Mapping[str, OtherServer] = {
    "vllm": OtherServer(
        title="`vllm serve`",
        command=("vllm", "serve"),
        flags={
            "model": POSITIONAL,
            "host": "--host",
            "port": "--port",
            "context": "--max-model-len",
            "name": "--served-model-name",
        },
        also=("/v1/embeddings", "/v1/audio/transcriptions", "/v1/audio/translations"),
        parallel=16,
        counter="vllm",
        cannot="Tools need `--enable-auto-tool-choice` and `--tool-call-parser` in `args`.",
    ),
    "mlx_lm": OtherServer(
        title="`mlx_lm.server`",
        command=("mlx_lm.server",),
        flags={"model": "--model", "host": "--host", "port": "--port"},
        # Another name would make it load the model of that name.
        upstream="default_model",
        cannot="No images, no embeddings. It has no flag for `context`, which then only limits "
        "what the gateway sends. It is ready before its model is loaded; the first answer waits.",
        known="the tests of this gateway",
    ),
    "tabbyapi": OtherServer(
        title="TabbyAPI, by a `command` of yours",
        flags={
            "model": "--model-name",
            "host": "--host",
            "port": "--port",
            "context": "--max-seq-len",
        },
        # Its /health is good without a model, too.
        ready="/v1/model",
        also=("/v1/embeddings",),
        counter="tabbyapi",
        cannot="It wants a key: set `api_key`, unless its `disable_auth` is on. Of a chat it does "
        "not count the tools, so chats are estimated.",
        known="its source",
    ),
    "koboldcpp": OtherServer(
        title="`koboldcpp`",
        command=("koboldcpp",),
        flags={
            "model": "--model",
            "host": "--host",
            "port": "--port",
            "context": "--contextsize",
        },
        ready="/v1/models",
        also=("/v1/audio/speech", "/v1/audio/transcriptions", "/v1/images/generations"),
        counter="koboldcpp",
        cannot="It counts texts alone, so chats are estimated.",
    ),
    "sd_server": OtherServer(
        title="`sd-server` of stable-diffusion.cpp",
        command=("sd-server",),
        flags={"model": "-m", "host": "--listen-ip", "port": "--listen-port"},
        ready="/v1/models",
        endpoints=("/v1/images/generations", "/v1/images/edits"),
        cannot="No texts. Models of several files need their flags in `args`.",
        known="its source",
    ),
    "kokoro": OtherServer(
        title="`fastkokoro`, or another server of Kokoro by a `command` of yours",
        command=("fastkokoro",),
        env={"FASTKOKORO_HOST": "127.0.0.1", "FASTKOKORO_PORT": "${PORT}"},
        endpoints=("/v1/audio/speech",),
        also=("/v1/audio/voices",),
        cannot="It takes no `model`: without `FASTKOKORO_MODEL_PATH` and `FASTKOKORO_VOICES_PATH` "
        "in `env` it downloads its own.",
        known="its source",
    ),
}


def lua_servers() -> dict[str, dict[str, Any]]:
    """Return what Lua has to know of each server."""
    shown = {"title", "also", "cannot", "known"}
    return {
        name: {key: value for key, value in server._asdict().items() if value and key not in shown}
        for name, server in SERVERS.items()
    }
