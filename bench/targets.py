"""The targets of the measurement: the engine itself, the minimal proxy, the gateway.

Each target is a set of child processes on loopback ports. They are started here, and ended here by
their process ids.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.load import Plan, Result
from engine.llamacpp.shipped import bundled_model
from engine.process.ports import PortClaim

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 64
# What opens the admin paths of a gateway that is measured, and how its configuration says so.
ADMIN = {"X-Admin-Token": "for-the-bench"}
ADMIN_LUA = 'admin_token = "for-the-bench"'
START_SECONDS = 30.0
_claims: list[PortClaim] = []
_loader: list[subprocess.Popen[bytes]] = []

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
    """A way to the engine: its address, and the process id of the proxy, if there is one."""

    def __init__(self, name: str, port: int, proxy: int | None) -> None:
        self.name = name
        self.port = port
        self._proxy = proxy

    @property
    def is_proxied(self) -> bool:
        return self._proxy is not None

    def cpu_seconds(self) -> float:
        """Return the CPU time that the proxy process has used so far, in seconds."""
        if self._proxy is None:
            return 0.0
        if sys.platform == "linux":
            # The process's CPU clock, as clock_getcpuclockid makes it: it counts nanoseconds,
            # while /proc counts only hundredths of a second.
            return time.clock_gettime((~self._proxy << 3) | 2)
        times = psutil.Process(self._proxy).cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        return psutil.Process(self._proxy).memory_info().rss if self._proxy is not None else 0


def voice(*, quick: bool) -> str:
    """Return the type of engine that speaks; in quick runs the cheapest that is there."""
    return "espeak" if quick and shutil.which("espeak-ng") else "piper"


def real_model() -> str:
    """Return the model of the parts with real engines: SmolLM2-135M, or the file in BENCH_MODEL."""
    return os.environ.get("BENCH_MODEL") or bundled_model()


def free_port() -> int:
    """Return a free port that no connection and no other gateway gets until the bench ends."""
    _claims.append(PortClaim())
    return _claims[-1].port


def load(plan: Plan) -> Result:
    """Run a plan in a process of its own, and return the result."""
    if not _loader:
        _loader.append(_started_loader())
    loader = _loader[0]
    assert loader.stdin
    assert loader.stdout
    late = threading.Timer(plan.timeout + 20, loader.kill)
    late.start()
    try:
        loader.stdin.write(json.dumps(vars(plan)).encode() + b"\n")
        loader.stdin.flush()
        line = loader.stdout.readline()
    finally:
        late.cancel()
    if not line.endswith(b"\n"):
        raise RuntimeError("a run of the load failed, see above")
    return Result(**json.loads(line))


def _started_loader() -> subprocess.Popen[bytes]:
    """Start the load generator, which ends with this process."""
    loader = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(loader.communicate)  # the end of its input is its own
    return loader


@contextlib.contextmanager
def running(argv: list[str], port: int, log: Path) -> Iterator[int]:
    """Run a command that will listen on *port*; yield its process id, and end it afterwards."""
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
    """Run the engine without a proxy."""
    port = free_port()
    argv = [sys.executable, str(ROOT / "bench" / "engine.py"), "--port", str(port)]
    with running(argv, port, folder / "engine.log"):
        yield Target("direct", port, None)


@contextlib.contextmanager
def passthrough(folder: Path, engine: Target) -> Iterator[Target]:
    """Run the engine with the minimal proxy in front of it."""
    port = free_port()
    script = str(ROOT / "bench" / "passthrough.py")
    upstream = f"http://127.0.0.1:{engine.port}"
    argv = [sys.executable, script, "--port", str(port), "--upstream", upstream]
    with running(argv, port, folder / "passthrough.log") as pid:
        yield Target("passthrough", port, pid)


def engine_binary(folder: Path) -> str:
    """Write the fake engine as an executable for the gateway; return its path as Lua text."""
    binary = folder / "engine"
    script = ROOT / "bench" / "engine.py"
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    binary.chmod(0o755)
    return json.dumps(str(binary))


def lua_list(texts: Iterable[str]) -> str:
    return "{ " + ", ".join(map(json.dumps, texts)) + " }"


@contextlib.contextmanager
def configured(folder: Path, port: int, config: str, root: Path = ROOT) -> Iterator[int]:
    """Run the gateway of ``root`` with this configuration, and yield its process id."""
    file = folder / "bench.cfg.lua"
    file.write_text(config, encoding="utf-8")
    argv = [sys.executable, str(root / "main.py"), "-c", str(file)]
    with running(argv, port, folder / "gateway.log") as pid:
        yield pid


def engine_starts(folder: Path) -> int:
    """Return how many engines the gateway of this folder has started, by its log."""
    return (folder / "gateway.log").read_text(encoding="utf-8").count(" started, pid ")


@contextlib.contextmanager
def gateway(
    folder: Path, *engine_args: str, root: Path = ROOT, name: str = "gateway", more: str = ""
) -> Iterator[Target]:
    """Run the gateway of ``root``; it starts its own engine on the first request.

    ``more`` is added to its configuration.
    """
    port = free_port()
    args = ["-m", "bench.gguf", "-c", "8192", "-np", str(CONNECTIONS), *engine_args]
    config = CONFIG.format(
        port=port,
        connections=CONNECTIONS,
        state=json.dumps(str(folder / "state")),
        binary=engine_binary(folder),
        args=lua_list(args),
    )
    with configured(folder, port, config + more, root) as pid:
        yield Target(name, port, pid)


def cpu_model() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine
