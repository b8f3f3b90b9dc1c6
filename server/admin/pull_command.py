"""``main.py models pull``, and ``-hf``: fetch a model, with its progress on the terminal."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.discovery.file_name import file_name
from models.discovery.scan import this_machine
from models.downloads.account import account
from models.downloads.hub import hub_here
from models.downloads.local import local_model
from models.downloads.progress import Progress
from models.downloads.pull import pull
from server.admin.show_pulls import bar, line
from utils.errors import HubOffline, HubUnavailable
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from models.downloads.pull import Pulled
    from models.downloads.reference import Wanted

# Seconds between two looks at the progress: on a terminal, and elsewhere.
_OFTEN, _SELDOM = 0.2, 10.0


def fetch_model(wanted: Wanted) -> Pulled:
    """Return the model once it is in the cache; Ctrl-C ends it and keeps what was fetched.

    Progress goes to stderr: a bar on a terminal, else a line every few seconds. Raises the
    GatewayError that says why it failed.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _run(_fetched(wanted))
    finally:
        signal.signal(signal.SIGINT, before)


def _run(fetched: Coroutine[Any, Any, Pulled]) -> Pulled:
    if sys.platform == "win32":
        return asyncio.run(fetched)
    import uvloop  # noqa: PLC0415 - not there on Windows

    return uvloop.run(fetched)


def pulled_json(wanted: Wanted, pulled: Pulled) -> dict[str, Any]:
    """Return what was fetched as plain JSON values."""
    return {
        "repository": wanted.repo,
        "commit": pulled.commit,
        "quantisation": pulled.choice.label,
        "size": pulled.choice.size,
        "files": [str(path) for path in pulled.paths],
    }


def fetch_or_find(wanted: Wanted) -> dict[str, Any]:
    """Return the table of the model, as a configuration would have it; fetch it if need be.

    If the hub cannot be asked, a model that is in the cache already will do. Raises the
    GatewayError that says why there is none.
    """
    try:
        done = fetch_model(wanted)
        label, path = done.choice.label, done.choice.parts[0].path
    except (HubOffline, HubUnavailable) as error:
        there = local_model(Path(account(this_machine()).cache), wanted)
        if there is None:
            raise
        sys.stderr.write(f"{wanted}: {error.message} It is in the cache already.\n")
        named = file_name(there.path.name)
        label, path = named.quantisation or named.stem, there.path.name
    name = f"{wanted.repo}:{label}"
    table: dict[str, Any] = {"name": name, "hf": wanted.repo, "file": path}
    if str(wanted) != name:
        table["aliases"] = [str(wanted)]
    return table


async def _fetched(wanted: Wanted) -> Pulled:
    progress = Progress()
    tasks = TaskOwner("pull")
    tasks.spawn(_show(wanted, progress), "progress")
    try:
        async with hub_here() as hub:
            done = await pull(hub, wanted, progress)
    finally:
        await tasks.cancel()
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
    sys.stderr.write(f"{wanted}: {line(progress)}\n")
    return done


async def _show(wanted: Wanted, progress: Progress) -> None:
    """Write the progress until this is cancelled."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{wanted}: asking the hub\n")
        while True:
            await asyncio.sleep(_SELDOM)
            progress.waited(time.monotonic())
            sys.stderr.write(f"{wanted}: {line(progress)}\n")
            sys.stderr.flush()
    began = time.monotonic()
    while True:
        progress.waited(time.monotonic())
        width = shutil.get_terminal_size().columns
        text = bar(str(wanted), progress, width - 1, time.monotonic() - began)
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
        await asyncio.sleep(_OFTEN)
