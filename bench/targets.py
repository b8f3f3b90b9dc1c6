"""What is measured: the engine itself, the bare pass-through, the gateway.

Each target is a set of child processes on loopback ports, started here and ended
here by their process ids.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.load import Plan, Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 64
# What opens the admin paths of a gateway that is measured, and how its configuration says so.
ADMIN = {"X-Admin-Token": "for-the-bench"}
ADMIN_LUA = 'admin_token = "for-the-bench"'
START_SECONDS = 30.0

# No `connect`: the gateway picks the engine's port, as it does by default.
CONFIG = """
server = {{
  listen_v4 = "127.0.0.1:{port}",
  state_dir = {state},
  log_level = "info",
  max_queue = {connections},
}}
models = {{
  {{
    name = "bench",
    engine = presets.engines.llamacpp,
    variants = {{
      {{ binary = {binary}, args = {args}, context = 8192, parallel = {connections} }},
    }},
  }},
}}
"""


class Target:
    """A way to the engine: where to ask, and which process is the proxy (if any)."""

    def __init__(self, name: str, port: int, proxy: int | None) -> None:
        self.name = name
        self.port = port
        self._proxy = proxy

    @property
    def is_proxied(self) -> bool:
        return self._proxy is not None

    def cpu_seconds(self) -> float:
        """CPU time that the proxy process has used so far."""
        if self._proxy is None:
            return 0.0
        if sys.platform == "linux":
            # The process's CPU clock, as clock_getcpuclockid makes it: nanoseconds,
            # where /proc counts in hundredths of a second.
            return time.clock_gettime((~self._proxy << 3) | 2)
        times = psutil.Process(self._proxy).cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        return psutil.Process(self._proxy).memory_info().rss if self._proxy is not None else 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def load(plan: Plan) -> Result:
    """A plan → carried out by a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", json.dumps(vars(plan))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=plan.timeout + 20,
        check=True,
    )
    return Result(**json.loads(done.stdout))


@contextlib.contextmanager
def running(argv: list[str], port: int, log: Path) -> Iterator[int]:
    """A command that will listen on *port* → its process id; ended afterwards."""
    with log.open("ab") as out, subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out) as process:
        try:
            wait_for_port(process, port, log)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    text = log.read_text(encoding="utf-8", errors="replace")
    raise RuntimeError(f"{process.args!r} did not start:\n{text[-2000:]}")


@contextlib.contextmanager
def direct(folder: Path) -> Iterator[Target]:
    """Nothing → the engine is listening, without any proxy."""
    port = free_port()
    argv = [sys.executable, str(ROOT / "bench" / "engine.py"), "--port", str(port)]
    with running(argv, port, folder / "engine.log"):
        yield Target("direct", port, None)


@contextlib.contextmanager
def passthrough(folder: Path, engine: Target) -> Iterator[Target]:
    """The engine is listening → the bare proxy in front of it is, too."""
    port = free_port()
    script = str(ROOT / "bench" / "passthrough.py")
    upstream = f"http://127.0.0.1:{engine.port}"
    argv = [sys.executable, script, "--port", str(port), "--upstream", upstream]
    with running(argv, port, folder / "passthrough.log") as pid:
        yield Target("passthrough", port, pid)


def engine_binary(folder: Path) -> str:
    """The fake engine as a file of its own, since the gateway starts binaries; quoted for Lua."""
    binary = folder / "engine"
    script = ROOT / "bench" / "engine.py"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    binary.chmod(0o755)
    return json.dumps(str(binary))


def lua_list(texts: Iterable[str]) -> str:
    return "{ " + ", ".join(map(json.dumps, texts)) + " }"


@contextlib.contextmanager
def configured(folder: Path, port: int, config: str) -> Iterator[int]:
    """Nothing → a gateway with this configuration is listening; its process id."""
    file = folder / "bench.cfg.lua"
    file.write_text(config, encoding="utf-8")
    argv = [sys.executable, str(ROOT / "main.py"), "-c", str(file)]
    with running(argv, port, folder / "gateway.log") as pid:
        yield pid


def engine_starts(folder: Path) -> int:
    """How many engines the gateway of this folder has started so far, by its log."""
    return (folder / "gateway.log").read_text(encoding="utf-8").count(" started, pid ")


@contextlib.contextmanager
def gateway(folder: Path, *engine_args: str) -> Iterator[Target]:
    """Nothing → the gateway is listening; it starts its own engine when asked."""
    port = free_port()
    args = ["-m", "bench.gguf", "-c", "8192", "-np", str(CONNECTIONS), *engine_args]
    config = CONFIG.format(
        port=port,
        connections=CONNECTIONS,
        state=json.dumps(str(folder / "state")),
        binary=engine_binary(folder),
        args=lua_list(args),
    )
    with configured(folder, port, config) as pid:
        yield Target("gateway", port, pid)


def cpu_model() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine
