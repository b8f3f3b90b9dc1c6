"""The zoo of clients: ``python -m tests.system.zoo --install`` or ``--write``.

``--install`` installs the clients; nothing happens if they are there. ``--write`` runs all clients
and writes ``docs/clients.md``, unless something does not work that should. Names of clients run
those alone, and print what does not work.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from tests.system.zoo.install import install  # noqa: E402 - the path is set above
from tests.system.zoo.run import client_runner  # noqa: E402 - as above
from tests.system.zoo.server import zoo_gateway  # noqa: E402 - as above
from tests.system.zoo.table import CLIENTS, DOCUMENT, document, faults  # noqa: E402 - as above


def main(words: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    if "--install" in words:
        install()
        return 0
    named = [word for word in words if not word.startswith("-")]
    bad = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        zoo_gateway(Path(folder)) as served,
        client_runner(served.url, Path(folder)) as runner,
    ):
        for client in CLIENTS:
            if named and not any(word in client.key for word in named):
                continue
            home = Path(folder) / client.key
            home.mkdir()
            for fault in faults(client, runner.outcomes(client, home)):
                bad += 1
                print(f"{client.key}: {fault}", flush=True)
    if bad == 0 and "--write" in words:
        DOCUMENT.write_text(document(), encoding="utf-8")
    return min(bad, 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
