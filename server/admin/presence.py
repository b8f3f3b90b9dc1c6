"""Notes of running gateways: each writes one in ``state_dir``, and removes it at its end.

The note of a killed gateway stays until the next start; no process has its pid, unless by chance.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson
import psutil

from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from utils.config.settings import Endpoint

FOLDER = "gateways"
_log = get_logger("admin")
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


@dataclass(frozen=True, slots=True)
class Presence:
    """A running gateway: its process, a URL of it on this machine, its configuration file.

    ``config`` is "" for one without a configuration.
    """

    pid: int
    url: str
    config: str


@contextlib.contextmanager
def announced(
    folder: Path, endpoints: Sequence[Endpoint], config: Path | None, scheme: str = "http"
) -> Iterator[None]:
    """Keep the note of this gateway in ``folder`` inside the block; log a disk error."""
    url = local_url(endpoints[0], scheme)
    note = folder / FOLDER / f"{os.getpid()}.json"
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        _sweep(note.parent)
        file = "" if config is None else str(config.absolute())
        note.write_bytes(orjson.dumps(asdict(Presence(os.getpid(), url, file))))
    except OSError as error:
        _log.warning("%s: %s", note, error.strerror)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)


def gateways_in(folder: Path) -> list[Presence]:
    """Return the gateways that have a note in ``folder`` and a process that exists."""
    found = []
    for note in sorted((folder / FOLDER).glob("*.json")):
        try:
            known = Presence(**orjson.loads(note.read_bytes()))
        except (OSError, ValueError, TypeError):
            continue
        if psutil.pid_exists(known.pid):
            found.append(known)
    return found


def local_url(endpoint: Endpoint, scheme: str = "http") -> str:
    """Return the URL on this machine of a gateway that listens at ``endpoint``."""
    host = _ANY.get(endpoint.host, endpoint.host)
    return f"{scheme}://{type(endpoint)(host, endpoint.port)}"


def _sweep(folder: Path) -> None:
    for note in folder.glob("*.json"):
        if not (note.stem.isdecimal() and psutil.pid_exists(int(note.stem))):
            note.unlink(missing_ok=True)
