"""The path of one streaming chat through the gateway: the files and functions it enters."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADING = "The path of a streaming chat"
# The number of chunks, and the seconds between them: enough time to look at a running stream.
CHUNKS, DELAY = 40, 0.02
# The figures when the aims were set.
START = {"files": 65, "functions": 261, "frames": 13}
# Python 3.11 enters a function for each of them, later versions do not. They count as functions.
COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>")
_PATIENCE = 20.0
_QUIET = 4.5
_END = 0.5
_ACCEPTED = 0.1


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Stream a chat through a warm gateway; return the counts and their explanation."""
    del quick
    found = traced(folder)
    rows = [["", "at the start", "one streaming chat", "aim"]]
    for what, name, aim in (
        ("files entered", "files", "≤ 30"),
        ("functions entered", "functions", "≤ 150"),
        ("coroutines of the task that waits", "frames", "≤ 8"),
    ):
        rows.append([what, str(START[name]), str(len(found[name])), aim])
    return rows, NOTES


# Two variants, so that an answer of the smaller one may need a continuation.
CONFIG = """
server = {{ listen_v4 = "127.0.0.1:{port}", state_dir = {state} }}
local function variant(context)
  return {{ binary = {binary}, args = {{ "-m", "bench.gguf", "-c", context }}, context = context }}
end
models = {{ {{ name = "bench", variants = {{ variant(8192), variant(16384) }} }} }}
"""
NOTES = """
- `bench/path.py`: a warm gateway with everything on streams one chat of 40 chunks from the fake
  engine. It counts the project's files and functions that are entered from the request's first byte
  to the line in the log, and the coroutines (with aiohttp's) of the task that waits for the
  engine's next bytes. `python -m bench.path` lists them.
- *At the start*: when the aims were set.
"""


def traced(folder: Path) -> dict[str, Any]:
    """Return the files, functions and waiting frames of one streaming chat, the third one."""
    port, file = targets.free_port(), folder / "path.json"
    config = folder / "path.cfg.lua"
    binary, state = json.dumps(engine_binary(folder)), json.dumps(str(folder / "state"))
    config.write_text(CONFIG.format(port=port, state=state, binary=binary), encoding="utf-8")
    script = str(targets.ROOT / "bench" / "traced.py")
    argv = [sys.executable, script, str(file), "-c", str(config)]
    with targets.running(argv, port, folder / "path.log") as pid:
        began = time.monotonic()
        # The first answer may tell what the engine can do, and the second request learns of it.
        for _ in range(2):
            with streamed(port) as lines:
                list(lines)
        # The gateway measures a new engine's memory after 1 and 3 seconds; wait for this first.
        time.sleep(max(0.0, _QUIET - (time.monotonic() - began)))
        with streamed(port, lambda: signalled(pid, signal.SIGUSR1)) as lines:
            for number, _ in enumerate(lines):
                if number == CHUNKS:
                    signalled(pid, signal.SIGUSR2)
            # Until the gateway has written its line of the log; the connection stays open.
            time.sleep(_END)
            signalled(pid, signal.SIGUSR1)
        deadline = time.monotonic() + _PATIENCE
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def engine_binary(folder: Path) -> str:
    """Return the fake engine as an executable, which says that it can save slots."""
    binary = folder / "engine"
    script = targets.ROOT / "bench" / "engine.py"
    binary.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --help ] && echo "--slot-save-path --cache-ram --no-cache-idle-slots" && exit\n'
        f'exec "{sys.executable}" "{script}" "$@"\n',
        encoding="utf-8",
    )
    binary.chmod(0o755)
    return str(binary)


def signalled(pid: int, number: int) -> None:
    """Send the signal to the gateway, and give it time to act."""
    os.kill(pid, number)
    time.sleep(0.1)


@contextlib.contextmanager
def streamed(port: int, begin: Callable[[], None] = lambda: None) -> Iterator[Any]:
    """Yield the lines of one streaming chat as they come; the connection closes afterwards.

    ``begin`` is called before the request's first byte, when the connection is accepted.
    """
    body = {
        "model": "bench",
        "messages": [{"role": "user", "content": "Hello, who are you?"}],
        "stream": True,
        "max_tokens": CHUNKS,
        "bench_delay": DELAY,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    connection.connect()
    time.sleep(_ACCEPTED)
    begin()
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body).encode(), headers)
    yield connection.getresponse()
    connection.close()


def main() -> None:
    """Print every file with its functions, then the coroutines that wait for the engine."""
    with tempfile.TemporaryDirectory() as folder:
        found = traced(Path(folder))
    for file in found["files"]:
        names = [f.partition(":")[2] for f in found["functions"] if f.startswith(f"{file}:")]
        print(f"{file}: {', '.join(names)}")
    print("\nwaits in:", *found["frames"], sep="\n  ")
    print(f"\n{len(found['files'])} files, {len(found['functions'])} functions,", end=" ")
    print(f"{len(found['frames'])} coroutines deep")
    inner = [name for name in found["functions"] if name.endswith(COMPREHENSIONS)]
    print(f"{len(inner)} of the functions are list, set or dict comprehensions")


if __name__ == "__main__":
    main()
