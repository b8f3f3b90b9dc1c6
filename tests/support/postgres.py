"""A real PostgreSQL of its own for a test, which can be stopped and started."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ports import quiet_port

if TYPE_CHECKING:
    from collections.abc import Iterator

# Who runs it where the tests are run by root.
USER = "postgres"
# Debian's place; the programs are not on the path there.
_PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), None)


def programs() -> Path | None:
    """Return the folder with ``initdb`` and ``pg_ctl``, or None where there is no PostgreSQL."""
    for place in _PLACES:
        if found := shutil.which("initdb", path=None if place is None else str(place)):
            return Path(found).resolve().parent
    return None


@dataclass
class Postgres:
    """A server; ``url`` is that of a database in it."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://gateway@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        # The machine does not lose power in a test, and the disk is slow.
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._control("start", "-w", "-o", options, "-l", str(self.folder / "log"))

    def stop(self) -> None:
        self._control("stop", "-w", "-m", "immediate")

    def make(self) -> None:
        options = ("-U", "gateway", "-A", "trust", "--no-sync")
        _run("initdb", "-D", str(self.folder / "data"), *options)

    def _control(self, *words: str) -> None:
        _run("pg_ctl", "-D", str(self.folder / "data"), *words)


def _run(program: str, *words: str) -> None:
    place = programs()
    assert place is not None, "PostgreSQL is needed: apt-get install postgresql"
    # It refuses to run as root.
    own: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []}
    done = subprocess.run(
        [str(place / program), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        check=False,
        timeout=100,
        **(own if os.geteuid() == 0 else {}),
    )
    assert done.returncode == 0, done.stderr.decode()


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Inside the block a new server runs, as a user of its own if the tests are run by root."""
    with tempfile.TemporaryDirectory(prefix="gateway-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
        server = Postgres(folder, quiet_port())
        server.make()
        server.start()
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):  # a test may have stopped it
                server.stop()


def new_database(server: Postgres) -> str:
    """Return the address of an empty database."""
    import psycopg  # noqa: PLC0415 - only where there is a PostgreSQL

    name = f"test{quiet_port()}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.url.removesuffix("postgres") + name
