"""The checks that need the official libraries, made in one process for all workers.

To import the libraries takes seconds, and a worker that did would be larger by far: it forks for
each engine, and a fork copies what the worker has. So the run starts this program once, and its
workers ask it. A worker of a run that has not started it checks by itself.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import threading
from importlib import import_module
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

# The environment variable that tells workers where the program listens.
ADDRESS = "TEST_STREAM_JUDGE"
_MODULES = {
    "check_stream": "stream_schema",
    "checked": "response_types",
    "check_whole": "response_types",
}
_connections: list[Connection] = []


def start() -> subprocess.Popen[bytes]:
    """Start the program; it ends when its standard input is closed."""
    folder = tempfile.mkdtemp(prefix="judge-")
    os.environ[ADDRESS] = str(Path(folder) / "socket")
    program = [sys.executable, __file__, os.environ[ADDRESS]]
    judge = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert judge.stdout is not None
    judge.stdout.readline()  # it listens
    return judge


def end(judge: subprocess.Popen[bytes]) -> None:
    """End the program."""
    while _connections:
        _connections.pop().close()
    judge.communicate()
    address = Path(os.environ.pop(ADDRESS))
    address.unlink(missing_ok=True)
    address.parent.rmdir()


def connect() -> None:
    """Let this process ask the program, if the run has started it; wait until it has imported."""
    if ADDRESS in os.environ and not _connections:
        connection = Client(os.environ[ADDRESS])
        connection.recv()
        _connections.append(connection)


def check_stream(path: str, content_type: str, body: bytes, *, cut: bool = False) -> None:
    """``stream_schema.check_stream``."""
    if content_type.startswith(("application/x-ndjson", "text/event-stream")):
        _judged("check_stream", path, content_type, body, cut=cut)


def checked(stream: bytes) -> list[dict[str, Any]]:
    """``response_types.checked``."""
    events: list[dict[str, Any]] = _judged("checked", stream)
    return events


def check_whole(response: dict[str, Any]) -> None:
    """``response_types.check_whole``."""
    _judged("check_whole", response)


def _judged(name: str, *given: Any, **more: Any) -> Any:
    if not _connections:
        return getattr(import_module(_MODULES[name]), name)(*given, **more)
    _connections[0].send((name, given, more))
    fault, value = _connections[0].recv()
    assert not fault, fault
    return value


def _serve(connection: Connection) -> None:
    checks = {name: getattr(import_module(where), name) for name, where in _MODULES.items()}
    connection.send("ready")
    while True:
        try:
            name, given, more = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            verdict = "", checks[name](*given, **more)
        except Exception as error:  # noqa: BLE001 - the worker raises it
            verdict = f"{type(error).__name__}: {error}", None
        connection.send(verdict)


def _accept(listener: Listener) -> None:
    while True:
        threading.Thread(target=_serve, args=(listener.accept(),), daemon=True).start()


def main() -> None:
    """Serve until standard input is closed."""
    listener = Listener(sys.argv[1], backlog=64)
    print("listening", flush=True)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    gc.disable()
    for module in _MODULES.values():
        import_module(module)
    gc.freeze()
    gc.enable()
    sys.stdin.read()


if __name__ == "__main__":
    main()
