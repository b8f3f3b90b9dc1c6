"""``ForkServer``: runs the scripts of one environment, whose libraries are imported only once."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from typing import TYPE_CHECKING

from tests.system.zoo.install import HERE, python_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCRIPTS = HERE / "clients"
# What the clients of each environment import, which takes most of their time. Some of it they would
# import with their first request.
LIBRARIES = {
    "sdks": (
        *(
            "openai",
            "openai.resources",
            "anthropic",
            "ollama",
            "llm.cli",
            "llm.default_plugins.openai_models",
        ),
        *("langchain_openai", "langchain_anthropic", "langchain_ollama"),
        *("pydantic_ai", "pydantic_ai.models.openai", "pydantic_ai.models.anthropic"),
    ),
    "frameworks": (
        *("litellm", "litellm.main", "openai", "openai.resources"),
        *("litellm.litellm_core_utils.default_encoding", "mcp"),
        *("llama_index.core.llms", "llama_index.core.tools"),
        *("llama_index.llms.openai_like", "llama_index.llms.ollama"),
    ),
    "agents": ("openai", "openai.resources", "openai.lib", "httpcore2", "instructor", "agents"),
    "aider": (
        *("aider.main", "aider.coders", "litellm", "litellm.main", "openai.resources"),
        *("litellm.litellm_core_utils.default_encoding", "networkx", "numpy", "httpcore"),
    ),
}
# No library may ask the network for news.
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_AGENTS_DISABLE_TRACING": "1"}


class ForkServer:
    """Runs scripts one after another; ``close`` ends it, and what a script has left."""

    def __init__(self, environment: str, home: Path) -> None:
        python = str(python_of(environment))
        self._process = subprocess.Popen(
            [python, "-X", "utf8", str(SCRIPTS / "fork_server.py"), *LIBRARIES[environment]],
            env={**OFFLINE, "HOME": str(home), "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, script: Path, environment: Mapping[str, str], folder: Path, wait: float) -> bool:
        """Run the script in the folder, where its output goes; return whether it ended in time."""
        if not self._process.stdin or not self._process.stdout:
            raise ValueError("it has no pipes")
        job = {
            "script": str(script),
            "environment": dict(environment),
            "folder": str(folder),
        }
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], wait)
        return bool(ready) and self._process.stdout.readline() != b""

    def close(self) -> None:
        """End the server and its children."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
