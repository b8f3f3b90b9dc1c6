"""The real engines on this machine: the bundled one, and llama.cpp's own if it is installed.

``LLAMA_SERVER`` and ``LLAMA_TOKENIZE`` name the binaries of a llama.cpp build; without them PATH is
searched.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from main_process import Run, run
from ports import quiet_port

from engine.llamacpp.shipped import bundled_model, bundled_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _found(variable: str, name: str) -> str | None:
    return os.environ.get(variable) or shutil.which(name)


# The headers of an admin request to a gateway with ``lua_config``.
ADMIN = {"X-Admin-Token": "for-tests"}
LLAMA_SERVER = _found("LLAMA_SERVER", "llama-server")
LLAMA_TOKENIZE = _found("LLAMA_TOKENIZE", "llama-tokenize")
ENGINES = {"bundled": bundled_server()} | ({"llama.cpp": LLAMA_SERVER} if LLAMA_SERVER else {})
# The engine for tests that need only one: llama.cpp's own, or else the bundled one. The zoo asks
# the bundled one by every API.
ONE = list(ENGINES)[-1:]
MODEL = bundled_model()


class _Log:
    """The lines that a process writes to a pipe. A thread reads them, so that it is never full."""

    def __init__(self, pipe: IO[str]) -> None:
        self._file = pipe.fileno()
        os.set_blocking(self._file, False)
        self._guard = threading.Lock()
        self._rest = b""
        self._lines: list[str] = []
        self.ended = False

    def lines(self) -> list[str]:
        """Return all that was written before this."""
        with self._guard, contextlib.suppress(BlockingIOError):
            while not self.ended:
                data = os.read(self._file, 1 << 16)
                self.ended = not data
                *whole, self._rest = (self._rest + data).split(b"\n")
                self._lines += [f"{line.decode(errors='replace')}\n" for line in whole]
        return self._lines

    def more(self) -> list[str]:
        """Wait until there is more, or the end; return all lines."""
        select.select([self._file], [], [])
        return self.lines()

    def follow(self) -> None:
        while not self.ended:
            self.more()


@dataclass
class Gateway:
    """A gateway that runs as for a user: ``main.py -c FILE``."""

    process: Run | subprocess.Popen[str]
    url: str
    folder: Path
    _log: _Log

    @property
    def log(self) -> list[str]:
        """The lines of its log: what it told before an answer is there once that has come."""
        return self._log.lines()

    def stop(self) -> int:
        """Send SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextlib.contextmanager
def gateway(folder: Path, config: str) -> Iterator[Gateway]:
    """Inside the block a gateway serves ``config``, a Lua text, on a free port."""
    file = folder / "gateway.cfg.lua"
    file.write_text(config)
    process = run("-c", str(file))
    assert process.stderr is not None
    log = _Log(process.stderr)
    url = ""
    pump = threading.Thread(target=log.follow, daemon=True)
    try:
        while not url and not log.ended:
            found = re.search(r"listening on (http://\S+)", "".join(log.more()))
            url = found[1] if found else ""
        assert url, "".join(log.lines())
        pump.start()
        yield Gateway(process, url, folder, log)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        if url:
            pump.join(10)
        process.stderr.close()


def lua_model(
    name: str,
    binary: str,
    contexts: tuple[int, ...],
    more: str = "",
    args: tuple[str, ...] = (),
    *,
    file: Path | str = MODEL,
) -> str:
    """Return a model table with variants of these contexts, and further arguments."""
    own = "".join(f', "{arg}"' for arg in args)
    variants = ",\n".join(
        f'{{ binary = "{binary}", context = {context}, args = {{ "-m", "{file}", "-c", {context},'
        f' "-np", 1, "-t", 1, "--no-warmup"{own} }} }}'
        for context in contexts
    )
    return f'{{ name = "{name}", {more} variants = {{ {variants} }} }}'


def lua_config(folder: Path, models: str, server: str = "") -> str:
    """Return a configuration with a free port and its state in ``folder``."""
    return (
        f'server = {{ listen_v4 = "127.0.0.1:{quiet_port()}", '
        f'state_dir = "{folder}/state", admin_token = "{ADMIN["X-Admin-Token"]}", {server} }}\n'
        f"models = {{ {models} }}\n"
    )


def until(happened: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait until ``happened()`` is true."""
    deadline = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
