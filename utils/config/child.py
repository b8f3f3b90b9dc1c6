"""Load the configuration in a process of its own while the gateway serves.

Lua may run for long, and ``ConfigLoader`` changes the environment variables for a moment; both
would disturb a process that streams answers. This module is both sides: ``load_apart`` starts it as
a program, which prints the tables, or the faults, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING

from utils.config.loader import ROOT, ConfigLoader
from utils.config.lua_data import Presets
from utils.config.tables import Tables
from utils.errors import ConfigError
from utils.tasks import all_or_nothing

if TYPE_CHECKING:
    from pathlib import Path


async def load_apart(path: Path, presets: Presets) -> Tables:
    """Return the result of ``ConfigLoader(path, presets).load()``, or raise its ConfigError.

    If it is cancelled, it leaves no process and no temporary file.
    """
    # A killed child does not remove its temporary files, so they are in a folder of this process.
    with tempfile.TemporaryDirectory(prefix="llm-gateway-", ignore_cleanup_errors=True) as folder:
        return await _load(path, presets, folder)


async def _load(path: Path, presets: Presets, folder: str) -> Tables:
    starting = asyncio.create_subprocess_exec(
        sys.executable,
        # -P: do not import a folder named utils in the current directory.
        "-P",
        "-m",
        __name__,
        os.fspath(path),
        json.dumps(asdict(presets)),
        folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    # A loop that is cancelled while it starts a process kills that alone, and Lua would run on.
    process = await all_or_nothing(starting, _end)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            await _end(process)
    try:
        said = json.loads(output)
    except ValueError as error:
        status = process.returncode
        raise ConfigError(f"{path}: loading it ended with status {status}, see the log") from error
    if "error" in said:
        raise ConfigError(said["error"], tuple(said["faults"]))
    return Tables(**said)


async def _end(process: asyncio.subprocess.Process) -> None:
    # Kill the whole group: Lua is a child of the child.
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _print_tables(path: str, given: str, folder: str) -> None:
    presets = json.loads(given)
    presets["engines"] = tuple(presets["engines"])
    try:
        said = ConfigLoader(path, Presets(**presets), folder).load()._asdict()
    except ConfigError as error:
        said = {"error": error.message, "faults": error.faults}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    _print_tables(*sys.argv[1:])
