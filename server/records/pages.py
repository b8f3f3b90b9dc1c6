"""``RecordPages``: the pages of what the gateway remembers, and of its machine."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from engine.lease import expected
from engine.scheduling.lifecycle import State
from server.records.ended import as_csv, number_in, page_of, query_of
from server.records.samples import RINGS, step_for
from server.records.system import system_view
from server.status import model_view
from utils.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from engine.manager import EngineManager
    from engine.scheduling.scheduler import EngineRecord
    from server.middleware import RequestContext
    from server.records.recorder import Recorder

_OK = 200
_CSV = {
    "Content-Type": "text/csv; charset=utf-8",
    "Content-Disposition": 'attachment; filename="requests.csv"',
}
_COLUMNS = (
    *("at", "id", "path", "client", "address", "account", "key", "model", "variant", "status"),
    *("reason", "error", "streamed", "prompt_tokens", "cached_tokens", "completion_tokens"),
    *("sound_seconds", "characters", "counted", "queue_seconds", "load_seconds"),
    *("first_token_seconds", "prefill_seconds", "decode_seconds", "total_seconds"),
)
_HOUR = 3600.0


class RecordPages:
    """Answers on ``/admin/api`` with what is recorded, and publicly with models and uptime.

    ``price`` returns what a model costs; None where nothing is paid.
    """

    def __init__(
        self,
        recorder: Recorder,
        manager: EngineManager,
        folder: Path,
        price: Callable[[str], dict[str, str]] | None = None,
    ) -> None:
        self._recorder = recorder
        self._manager = manager
        self._folder = folder
        self._price = price
        self._created = int(time.time())

    async def requests(self, ctx: RequestContext) -> None:
        """Answer with a page of ended requests, the newest first; with ``format=csv`` as CSV."""
        self._recorder.look()
        rows, cursor = page_of(reversed(self._recorder.requests), query_of(ctx.request.query))
        if wants_csv(ctx):
            await ctx.response.answer(_OK, _CSV, as_csv(rows, _COLUMNS))
            return
        await ctx.json({"requests": rows, "next": cursor})

    async def history(self, ctx: RequestContext) -> None:
        """Answer with the samples from ``from`` to ``to``; without them, of the last hour."""
        query, now = ctx.request.query, time.time()
        end = _moment(number_in(query, "to"), now, now)
        begin = _moment(number_in(query, "from"), now, end - _HOUR)
        steps = [ring.step for ring in RINGS]
        step = number_in(query, "step")
        if step is not None and step not in steps:
            raise BadRequest(f"step must be one of {', '.join(map(str, steps))}.", param="step")
        seconds = step_for(now - begin) if step is None else int(step)
        points = self._recorder.samples.points(begin, end, seconds)
        await ctx.json({"from": begin, "to": end, "step": seconds, "points": points})

    async def system(self, ctx: RequestContext) -> None:
        """Answer with processor, memory, GPUs, disks and versions."""
        view = await asyncio.to_thread(system_view, self._recorder.probe, [self._folder])
        await ctx.json(view)

    async def uptime(self, ctx: RequestContext) -> None:
        """Answer with the uptime of the gateway and of each model, day by day."""
        names = [model.name for model in ctx.configuration.catalog.models]
        # It answers, so it runs.
        self._recorder.count_up()
        await ctx.json(self._recorder.uptime.view(time.time(), names))

    async def models(self, ctx: RequestContext) -> None:
        """Answer with every model, for people who look for one."""
        able, records = ctx.configuration.able, self._manager.records()
        loading = _loading(records, self._manager.now())
        found = [
            _public(model_view(model, able, records, self._created))
            | ({"loading": loading[model.name]} if model.name in loading else {})
            for model in ctx.configuration.catalog.models
        ]
        if self._price is not None:
            for each in found:
                each["price"] = self._price(each["name"])
        accounts = ctx.configuration.settings.accounts
        currency = {} if accounts is None else {"currency": accounts.currency}
        await ctx.json({"models": found, "accounts": accounts is not None, **currency})


def wants_csv(ctx: RequestContext) -> bool:
    """Return whether the answer is to be CSV; BadRequest for a format that there is not."""
    asked = ctx.request.query.get("format")
    if asked is None:
        return ctx.request.headers.get("Accept", "").startswith("text/csv")
    if asked not in ("csv", "json"):
        raise BadRequest("format must be csv or json.", param="format")
    return asked == "csv"


def _moment(given: float | None, now: float, usual: float) -> float:
    """Return a time in seconds since 1970; a negative one is so long ago."""
    if given is None:
        return round(usual, 3)
    return round(now + given if given < 0 else given, 3)


def _loading(records: Iterable[EngineRecord], now: float) -> dict[str, str]:
    """Return how far the loads are, by model, in the words of the comments of a stream."""
    return {
        each.variant.model: each.variant.label + expected(each.load_seconds, now - each.started_at)
        for each in records
        if each.state is State.STARTING
    }


def _public(view: dict[str, Any]) -> dict[str, Any]:
    view["name"] = view.pop("id")
    for name in ("object", "created", "owned_by"):
        del view[name]
    return view
