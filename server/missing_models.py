"""``MissingModels``: fetches models of the configuration that are not on this machine."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from models.downloads.progress import DONE, FAILED, PAUSED
from models.downloads.pulls import STOPPED
from models.downloads.reference import AT_START, NEVER, ON_REQUEST
from server.dialects import OLLAMA
from utils.errors import ModelDownloading, ModelMissing, ModelUnread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from models.downloads.pulls import Pulls, PullState
    from models.downloads.reference import Missing
    from server.configuration import CurrentConfiguration
    from server.middleware import RequestContext
    from utils.errors import GatewayError

# Seconds after which a client may ask again, if the download does not tell how long it takes.
_USUAL_WAIT, _LONGEST_WAIT = 10.0, 300.0
# Seconds that a request waits for the head of its model.
_READS_WITHIN = 10.0
# Seconds before a request begins a download again that has failed.
_RETRY = 30.0


class WaitingLines(Protocol):
    """Writes the lines of a stream whose client waits."""

    def idle(self, status: str) -> bytes:
        """Return a line without text; ``status`` says what is waited for."""

    def fail(self, error: GatewayError) -> bytes:
        """Return the line that ends the stream by a fault."""


class MissingModels:
    """Begins downloads as the configuration says, and has requests wait for them."""

    def __init__(
        self,
        pulls: Pulls,
        current: CurrentConfiguration,
        include: Callable[[str], Awaitable[None]],
    ) -> None:
        self._include = include
        self._pulls = pulls
        self._current = current

    def begin(self, missing: Iterable[Missing]) -> None:
        """Fetch the models that are wanted at the start; not those whose download has failed."""
        for each in missing:
            known = self._pulls.of(each.wanted)
            stopped = known is not None and known.state == PAUSED and known.why == STOPPED
            if each.download == AT_START and (known is None or stopped):
                self._pulls.start(each.wanted)

    async def read(self, ctx: RequestContext, needed: ModelUnread) -> None:
        """Read the head of the model's file; then ``ctx`` has the configuration that serves it.

        Raises ModelUnread if that takes long. Whether the model can be served is not told here.
        """
        try:
            async with asyncio.timeout(_READS_WITHIN):
                await self._include(needed.model)
        except TimeoutError:
            raise needed from None
        ctx.configuration = self._current.now

    async def wait(
        self,
        ctx: RequestContext,
        needed: ModelMissing,
        lines: Callable[[str], WaitingLines] | None = None,
    ) -> None:
        """Return once the model is there, and ``ctx`` has the configuration that serves it.

        Only streams wait. Comments tell the percentage, or the lines that ``lines`` returns for the
        model's name where streams have no comments. Raises ModelDownloading for other requests, and
        ModelMissing if the model is not fetched.
        """
        missing = ctx.configuration.catalog.missing.get(needed.model)
        if missing is None or missing.download == NEVER:
            raise needed
        pull = self._pull(missing, needed)
        if not needed.stream or (lines is None and ctx.response.dialect is OLLAMA):
            left = pull.progress.left
            raise ModelDownloading(
                f"The model '{needed.model}' is being fetched: {pull.progress.percent} %.",
                _USUAL_WAIT if left is None else min(left, _LONGEST_WAIT),
            )

        def said() -> str:
            return f"fetching the model, {pull.progress.percent} %"

        interval = ctx.configuration.settings.keepalive_interval
        if lines is None:
            ctx.response.keep_alive(interval)
        else:
            writes = lines(needed.model)
            ctx.response.end_faults(writes.fail)
            ctx.response.keep_alive(interval, lambda: writes.idle(said()), lines=True)
        ctx.response.progress = said
        async for _ in self._pulls.follow(pull):
            pass
        if pull.state != DONE:
            raise _failed(pull, needed)
        ctx.response.progress = None
        ctx.configuration = self._current.now

    def _pull(self, missing: Missing, needed: ModelMissing) -> PullState:
        """Return the download of the model, which begins if the configuration allows that."""
        known = self._pulls.of(missing.wanted)
        begins = missing.download == ON_REQUEST
        if known is not None and not known.ended:
            return known
        if known is not None and known.state == FAILED:
            begins = begins and time.monotonic() - known.since >= _RETRY
        elif known is not None and known.state == PAUSED:
            begins = begins and known.why == STOPPED
        if begins:
            return self._pulls.start(missing.wanted)
        raise needed if known is None else _failed(known, needed)


def _failed(pull: PullState, needed: ModelMissing) -> ModelMissing:
    why = pull.why if pull.error is None else pull.error.message
    return ModelMissing(
        f"The model '{needed.model}' could not be fetched: {why or 'it cannot be served'}",
        model=needed.model,
    )
