"""Run the commands that a configuration has for events of engines: when one is ready, or has ended.

A command is run beside the engine: nothing waits for it, and its failure is only logged.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from engine.base import Launch
from engine.process.spawn import spawn
from engine.scheduling.lifecycle import State
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.observer import Changed
    from models.spec import VariantSpec

_log = get_logger("hook")
# Seconds that a command may take, and that those under way have when the gateway ends.
LONGEST = 60.0
_AT_END = 5.0
# Lines of a failed command's output that the log has.
_SHOWN = 5


class EngineCommands:
    """Runs ``on_ready`` and ``on_stop`` of variants."""

    def __init__(self) -> None:
        self._tasks = TaskOwner("hooks")
        self._ready: set[int] = set()

    def changed(self, change: Changed) -> None:
        """Run what the variant has for this change of its engine."""
        if change.after is State.READY and change.before is not State.READY:
            self._ready.add(change.engine)
            self._run(change.variant, "on_ready", change.variant.on_ready)
        elif not change.after.live and change.engine in self._ready:
            self._ready.discard(change.engine)
            self._run(change.variant, "on_stop", change.variant.on_stop)

    async def close(self) -> None:
        """Let the commands under way end, for a few seconds."""
        await self._tasks.wait(_AT_END)
        await self._tasks.cancel()

    def _run(self, variant: VariantSpec, event: str, command: tuple[str, ...]) -> None:
        if command:
            self._tasks.spawn(_told(variant, event, command), f"{event} {variant.label}")


async def _told(variant: VariantSpec, event: str, command: tuple[str, ...]) -> None:
    if said := await run_command(variant, event, command, LONGEST):
        _log.warning("%s of %s: %s", event, variant.label, said)


async def run_command(
    variant: VariantSpec,
    event: str,
    command: tuple[str, ...],
    limit: float,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Run the command; return "" if its status is 0 within ``limit`` seconds, else what was wrong.

    It finds the engine in ``LLM_GATEWAY_MODEL``, ``LLM_GATEWAY_VARIANT`` and ``LLM_GATEWAY_EVENT``.
    When cancelled, or out of time, it leaves no process.
    """
    env = {
        **environ,
        "LLM_GATEWAY_MODEL": variant.model,
        "LLM_GATEWAY_VARIANT": variant.label,
        "LLM_GATEWAY_EVENT": event,
    }
    try:
        child = await spawn(Launch(variant.label, command, env, ""))
    except OSError as error:
        return f"{command[0]}: {error.strerror or error}"
    lines: list[str] = []
    try:
        async with asyncio.timeout(limit):
            async for line in child.lines():
                lines = [*lines[1 - _SHOWN :], line]
            status = await child.wait()
    except TimeoutError:
        return f"{command[0]} took longer than {limit:g} s"
    finally:
        child.kill()
        await child.wait()
        child.close()
    if status == 0:
        return ""
    return " | ".join([f"{command[0]} ended with status {status}", *lines])
