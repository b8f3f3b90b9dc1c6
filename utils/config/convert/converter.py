"""``main.py convert FILE``: the configuration of another program as one of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from utils.config.convert.llama_swap import from_llama_swap
from utils.config.convert.local_files import from_presets, from_router, from_wrapper
from utils.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from utils.config.convert.document import Document

_KINDS = (
    "a llama-swap YAML, presets of llama-server (INI), a router-config.json of llama-router or a"
    " config.yaml of the LlamaWrapper gateway"
)


def converted(file: Path) -> str:
    """Return the Lua file that means the same as ``file``. Raises ConfigError."""
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"{file}: cannot be read: {reason.lower()}") from error
    try:
        made = _document(file.suffix.lower(), content)
    except (KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: cannot be understood: {_words(error)}") from error
    if made is None:
        raise ConfigError(f"{file}: it is not {_KINDS}")
    return made.text(file.name)


def _document(suffix: str, content: str) -> Document | None:
    if suffix == ".ini":
        return from_presets(content)
    # JSON is YAML, too.
    said: Any = yaml.safe_load(content)
    if not isinstance(said, Mapping):
        return None
    models = said.get("models")
    if "router" in said or "default_spawn" in said:
        return from_router(said)
    if isinstance(models, list) and ("llama_server_path" in said or "model_path" in str(models)):
        return from_wrapper(said)
    return from_llama_swap(said) if isinstance(models, Mapping) or "peers" in said else None


def _words(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
