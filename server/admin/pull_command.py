"""``main.py models pull``, and ``-hf``: fetch a model, with its progress on the terminal."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from models.downloads.hub import hub_here
from models.downloads.progress import Progress
from models.downloads.pull import pull
from server.admin.show_pulls import bar, line
from utils.tasks import TaskOwner

if TYPE_CHECKING:
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
        return asyncio.run(_fetched(wanted))
    finally:
        signal.signal(signal.SIGINT, before)


def pulled_json(wanted: Wanted, pulled: Pulled) -> dict[str, Any]:
    """Return what was fetched as plain JSON values."""
    return {
        "repository": wanted.repo,
        "commit": pulled.commit,
        "quantisation": pulled.choice.label,
        "size": pulled.choice.size,
        "files": [str(path) for path in pulled.paths],
    }


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
            sys.stderr.write(f"{wanted}: {line(progress)}\n")
            sys.stderr.flush()
    began = time.monotonic()
    while True:
        width = shutil.get_terminal_size().columns
        text = bar(str(wanted), progress, width - 1, time.monotonic() - began)
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
        await asyncio.sleep(_OFTEN)
