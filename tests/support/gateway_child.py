"""A gateway in its own process, as a user starts it: ``python main.py -c FILE``."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fake_engine import LLAMA_SERVER, Journal, faults
from gateway import is_running, until
from gateway_client import FAST_LANE, GatewayClient, client_session
from main_process import start
from raw_client import PATIENCE

from server.admin.own_token import own_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from main_process import Process


def lua(value: Any) -> str:
    """Return a plain value as Lua text."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{lua(key)}] = {lua(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "{ " + ", ".join(map(lua, value)) + " }"
    return json.dumps(value, ensure_ascii=False)


def config(
    journal: Journal, port: int, *, binary: str = LLAMA_SERVER, server: Any = None, **knobs: object
) -> str:
    """Return a configuration of one model, "m", whose engine is a fake with these knobs."""
    settings = {
        "listen_v4": f"127.0.0.1:{port}",
        "state_dir": str(journal.path.parent / "state"),
        "engine_stop_timeout": PATIENCE,
        "fast_lane": FAST_LANE,
        **(server or {}),
    }
    variant = {
        "context": 256,
        "binary": binary,
        "args": ["-m", "m.gguf", "-c", 256, "-np", 1],
        "env": faults(journal, **knobs),
    }
    models = [{"name": "m", "variants": [variant]}]
    return f"server = {lua(settings)}\nmodels = {lua(models)}\n"


@dataclass
class GatewayProcess(GatewayClient):
    """A running gateway; ``log`` is the file with its stdout and stderr."""

    process: Process = field(kw_only=True)
    log: Path = field(kw_only=True)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def exit_status(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    async def until_closing(self) -> None:
        """Wait until the gateway has got its signal."""
        await until(lambda: "shutting down" in self.said)

    async def engine_pid(self) -> int:
        """Return the pid of the first engine, once it listens."""
        [event, *_] = await self.journal.wait("listening")
        return int(event["pid"])


async def run(*args: str, log: Path, descriptors: int | None = None) -> Process:
    """Start ``main.py`` with these arguments; its output goes to ``log``.

    ``descriptors`` is its limit of file descriptors, if given.
    """
    with log.open("wb") as output:
        return await start(*args, stdout=output, stderr=output, descriptors=descriptors)


async def outcome(*args: str, folder: Path) -> tuple[int, str]:
    """Run ``main.py`` to its end; return its exit status and its output."""
    log = folder / "outcome.log"
    process = await run(*args, log=log)
    try:
        async with asyncio.timeout(PATIENCE):
            status = await process.wait()
    finally:
        if process.returncode is None:  # it would outlive the test
            process.kill()
            await process.wait()
    return status, log.read_text()


@asynccontextmanager
async def gateway_process(
    journal: Journal,
    text: str,
    port: int,
    name: str = "gateway",
    options: Sequence[str] = (),
    descriptors: int | None = None,
) -> AsyncIterator[GatewayProcess]:
    """Inside the block a gateway serves the configuration ``text``.

    At its end it is killed if it still runs; no engine may outlive it then.
    """
    folder = journal.path.parent
    file = folder / f"{name}.cfg.lua"
    file.write_text(text)
    log = folder / f"{name}.log"
    process = await run("-c", str(file), *options, log=log, descriptors=descriptors)
    try:
        async with client_session() as session:

            def said() -> str:
                return log.read_text(errors="replace")

            await until(lambda: "listening on" in said() or process.returncode is not None)
            assert process.returncode is None, said()
            token = own_token(folder / "state")
            gateway = GatewayProcess(port, journal, session, token, process=process, log=log)
            try:
                yield gateway
            finally:
                for client in gateway.clients:
                    client.leave()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_gone(pid: int) -> None:
    """Wait until the process has ended."""
    await until(lambda: not is_running(pid))
