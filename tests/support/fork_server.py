"""The program that ``main_process`` starts once: it imports the gateway, then forks for each run.

It reads requests from the socket on its standard input: arguments, environment and folder of a run
of ``main.py``, with three file descriptors: stdout, stderr, and a pipe that gets the pid and later
the status as ``waitpid`` has it. A fourth is the run's terminal. A list is of further modules to
import. It ends when the socket is
closed.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import resource
import select
import socket
import struct
import sys
import termios
import threading
from pathlib import Path
from types import ModuleType
from typing import NoReturn

MAIN = Path(__file__).resolve().parents[2] / "main.py"
# What a gateway imports when it serves, besides what these import.
WARM = ("main", "app", "uvloop", "engine.llamacpp.discovery", "models.discovery.watch")
STATUS = struct.Struct("=i")
LARGEST = 1 << 20


def serve(control: socket.socket) -> list[str]:
    """Fork for each request; return the arguments of ``main.py`` in each child."""
    running: dict[int, tuple[int, int]] = {}  # by pidfd: the pid, and its pipe
    ready = select.poll()
    ready.register(control, select.POLLIN)
    while True:
        for descriptor, _ in ready.poll():
            if descriptor in running:
                ready.unregister(descriptor)
                pid, pipe = running.pop(descriptor)
                os.close(descriptor)
                _tell(pipe, os.waitpid(pid, 0)[1])
                os.close(pipe)
                continue
            message, files, _, _ = socket.recv_fds(control, LARGEST, 4)
            if not message:
                sys.exit()
            if isinstance(asked := json.loads(message), list):
                for name in asked:
                    __import__(name)
                continue
            pipe = files[2]
            pid = os.fork()
            if not pid:
                control.close()
                for each in (*running, *(pipe for _, pipe in running.values())):
                    os.close(each)
                return _become(asked, files)
            for each in (*files[:2], *files[3:]):
                os.close(each)
            _tell(pipe, pid)
            watched = os.pidfd_open(pid)
            running[watched] = pid, pipe
            ready.register(watched, select.POLLIN)


def _tell(pipe: int, number: int) -> None:
    try:
        os.write(pipe, STATUS.pack(number))
    except BrokenPipeError:  # the test has ended
        return


def _become(asked: dict[str, object], files: list[int]) -> list[str]:
    """Take the place that the request describes; return the arguments."""
    if files[3:]:
        os.setsid()
        fcntl.ioctl(files[3], termios.TIOCSCTTY, 0)
    os.dup2(files[3] if files[3:] else os.open(os.devnull, os.O_RDONLY), 0)
    for target, source in enumerate(files[:2], 1):
        os.dup2(source, target)
    for each in files:
        os.close(each)
    if asked["descriptors"]:
        limit = int(str(asked["descriptors"]))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["env"])  # type: ignore[call-overload]  # it is JSON
    return asked["args"]  # type: ignore[return-value]  # it is JSON


def run() -> None:
    """Import the gateway, serve, and run ``main.py`` in each child as Python runs a program."""
    sys.path[0] = str(MAIN.parent)
    for name in WARM:
        __import__(name)
    code = compile(MAIN.read_bytes(), str(MAIN), "exec")
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=0) as control:
        args = serve(control)
    sys.argv = [str(MAIN), *args]
    module = ModuleType("__main__")
    module.__file__ = str(MAIN)
    sys.modules["__main__"] = module
    status = 0
    try:
        exec(code, module.__dict__)
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise
        status = ended.code or 0
    _end(status)


def _end(status: int) -> NoReturn:
    """End as Python does, but do not free what is there: that would copy the parent's memory."""
    threading._shutdown()  # type: ignore[attr-defined]  # typeshed does not know it
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # Python tells what is wrong
    os._exit(status & 0xFF)


if __name__ == "__main__":
    run()
