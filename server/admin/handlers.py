"""``AdminHandlers``: the handlers of the admin paths."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from server.admin.events import as_text, follow_events, follow_log
from server.admin.params import params_in
from server.admin.status import Sight, running_view
from server.metrics import Present
from server.uploads.body import read_body
from utils.config.written import effective_view
from utils.errors import BadRequest, GatewayError
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.manager import EngineManager
    from models.spec import ModelSpec, VariantSpec
    from server.access_log import AccessRecord
    from server.admin.params import Params
    from server.admin.reload import Reloader
    from server.middleware import RequestContext
    from server.telemetry import Telemetry

_log = get_logger("admin")
_OK = 200
_ACCEPTED = 202
# Bytes of the largest body of an admin request; more than any needs.
_LARGEST_ORDER = 64 * 1024
# The name that stands for all models.
_EVERY = "*"
_PIN = 'the model: {"model": "NAME"}'
_LOAD = 'the model to load: {"model": "NAME"}'
_UNLOAD = f'the model to unload: {{"model": "NAME"}}, or {{"model": "{_EVERY}"}} for all models'


class AdminHandlers:
    """Answers on the admin paths; the middleware has already checked the token."""

    def __init__(self, manager: EngineManager, telemetry: Telemetry, reloader: Reloader) -> None:
        self._manager = manager
        self._telemetry = telemetry
        self._reloader = reloader
        self._tasks = TaskOwner("admin")
        telemetry.metrics.present = self.present

    async def close(self) -> None:
        """End the streams of events and of the log, and the loads that no client waits for."""
        self._telemetry.close()
        await self._tasks.cancel()

    # -- pages -----------------------------------------------------------------------

    async def running(self, ctx: RequestContext) -> None:
        """Answer with the present state of every engine and every request."""
        await ctx.json(self._running())

    async def why(self, ctx: RequestContext) -> None:
        """Answer with the last evictions, ends and refusals, the newest first, with reasons."""
        await ctx.json({"decisions": self._telemetry.decisions.newest()})

    async def metrics(self, ctx: RequestContext) -> None:
        """Answer with the metrics, in a format of Prometheus."""
        body, kind = self._telemetry.metrics.page(ctx.request.headers.get("Accept", ""))
        await ctx.response.answer(_OK, {"Content-Type": kind}, body)

    async def logs(self, ctx: RequestContext) -> None:
        """Answer with the last lines of the log, or with those of ``?model=``."""
        self._telemetry.access.flush()
        text = as_text(self._telemetry.log.lines(_source(ctx)))
        await ctx.response.answer(_OK, {"Content-Type": "text/plain; charset=utf-8"}, text)

    async def log_stream(self, ctx: RequestContext) -> None:
        """Answer with the log's last lines, then with each new line."""
        await follow_log(ctx, _source(ctx))

    async def events(self, ctx: RequestContext) -> None:
        """Answer with the present state as the first event, then with each event as it happens."""
        await follow_events(ctx, lambda: self._telemetry.event("snapshot", self._running()))

    def _running(self) -> dict[str, Any]:
        sights = []
        for record in self._manager.records():
            process = self._manager.process(record.ticket)
            idle = self._manager.idle_time(record)
            pinned = record.variant.model in self._manager.pinned
            if process is None:
                sights.append(Sight(record, None, None, idle, pinned=pinned))
                continue
            cache = process.hooks.prompt_cache
            sights.append(Sight(record, process.pid, process.client.url, idle, cache, pinned))
        line = self._manager.line()
        return running_view(sights, line, self._telemetry.requests, self._manager.now())

    def present(self) -> Present:
        """Return the values of this moment that metrics and records show."""
        waiting, in_flight = self._manager.waiting(), len(self._telemetry.requests)
        return Present(self._manager.records(), waiting, in_flight)

    # -- commands --------------------------------------------------------------------

    async def unload(self, ctx: RequestContext) -> None:
        """Unload the model that the body names, or all; ``force`` does not wait for answers."""
        params = await _params(ctx)
        name = params.text("model", _UNLOAD)
        force = params.flag("force")
        params.end()
        every = name == _EVERY
        model = None if every else ctx.configuration.catalog.find(name).name
        await self._unload(ctx, model, force=force)

    async def reload_engines(self, ctx: RequestContext) -> None:
        """Unload every model; each is loaded again by the next request for it."""
        params = await _params(ctx)
        force = params.flag("force")
        params.end()
        await self._unload(ctx, None, force=force)

    async def _unload(self, ctx: RequestContext, model: str | None, *, force: bool) -> None:
        self._manager.slots.unpin(model)
        gone = await self._manager.unload(model, force=force)
        labels = [variant.label for variant in gone]
        _log.info("unloaded %s", ", ".join(labels) or "nothing: no engine was running")
        await ctx.json({"unloaded": labels})

    async def pin(self, ctx: RequestContext) -> None:
        """Keep the model that the body names once it is loaded: not evicted, not unloaded idle."""
        await self._pin(ctx, pinned=True)

    async def unpin(self, ctx: RequestContext) -> None:
        """Let the model that the body names be evicted and unloaded again."""
        await self._pin(ctx, pinned=False)

    async def _pin(self, ctx: RequestContext, *, pinned: bool) -> None:
        params = await _params(ctx)
        model = ctx.configuration.catalog.find(params.text("model", _PIN)).name
        params.end()
        self._manager.pin(model, pinned=pinned)
        _log.info("%s %s", model, "is pinned" if pinned else "is not pinned any more")
        await ctx.json({"model": model, "pinned": pinned})

    async def load(self, ctx: RequestContext) -> None:
        """Load the model that the body names, and answer when it is ready; 202 with ``wait=0``."""
        params = await _params(ctx)
        model = ctx.configuration.catalog.find(params.text("model", _LOAD))
        variant = _variant(model, params.variant())
        params.end()
        if _off(ctx.request.query.get("wait", "1")):
            loading = self._load_unwatched(variant, ctx.client)
            self._tasks.spawn(loading, f"load {variant.label}")
            await ctx.json({"loading": variant.label}, _ACCEPTED)
            return
        ctx.record.model = model.name
        await ctx.json(await self._loaded(variant, ctx.client, ctx.record))

    async def loaded(
        self, ctx: RequestContext, model: ModelSpec, asked: int | str | None
    ) -> dict[str, Any]:
        """Load the model, and return what runs; ``asked`` is a context or a variant's name."""
        ctx.record.model = model.name
        return await self._loaded(_variant(model, asked), ctx.client, ctx.record)

    async def _loaded(
        self, variant: VariantSpec, client: str, record: AccessRecord | None = None
    ) -> dict[str, Any]:
        """Load an engine for ``variant`` if none runs that serves it; return what runs."""
        running = next(
            (ran for ran, _ in self._manager.ready() if _serves(ran, variant)),
            None,
        )
        loading = 0.0
        if running is None:
            lease = self._manager.lease(variant, client)
            if record is not None:
                record.ticket = lease.request
            async with lease:
                running, loading = lease.variant, lease.loading
                if record is not None:
                    record.queued, record.loading = lease.queued, lease.loading
        if record is not None:
            record.variant = running.label
        return {
            "model": running.model,
            "variant": running.label,
            "context": running.context,
            "load_seconds": round(loading, 3),
        }

    def preload(self, models: Iterable[ModelSpec]) -> None:
        """Load these models, all at once as far as there is room; failures are only logged."""
        for model in models:
            variant = model.variants[0]
            self._tasks.spawn(self._load_unwatched(variant, "preload"), f"load {variant.label}")

    async def _load_unwatched(self, variant: VariantSpec, client: str) -> None:
        try:
            await self._loaded(variant, client)
        except GatewayError as error:
            _log.warning("%s was not loaded: %s", variant.label, error.message)

    async def reload_configuration(self, ctx: RequestContext) -> None:
        """Load the configuration file again; with ``dry_run`` only answer what would change."""
        dry_run = not _off(ctx.request.query.get("dry_run", "0"))
        await ctx.json(await self._reloader.reload(dry_run=dry_run))

    async def configuration(self, ctx: RequestContext) -> None:
        """Answer with every setting that counts, without secrets, and where the file has it."""
        settings = ctx.configuration.settings

        def look() -> dict[str, Any]:
            return effective_view(settings, settings.written.source() if settings.written else "")

        await ctx.json(await asyncio.to_thread(look))

    async def cancel(self, ctx: RequestContext) -> None:
        """Cancel the request in flight that the path names; raise UnknownRequest if none has it."""
        request_id = ctx.name or ""
        self._telemetry.requests.cancel(request_id)
        await ctx.json({"cancelled": request_id})


async def _params(ctx: RequestContext) -> Params:
    return params_in(await read_body(ctx, _LARGEST_ORDER))


def _source(ctx: RequestContext) -> str | None:
    """Return the model whose log the query names; None if it names none."""
    name = ctx.request.query.get("model")
    return None if name is None else ctx.configuration.catalog.find(name).name


def _off(word: str) -> bool:
    return word in ("0", "false", "no")


def _variant(model: ModelSpec, asked: int | str | None) -> VariantSpec:
    if asked is None:
        return model.variants[0]
    for variant in model.variants:
        if asked in (variant.context, variant.name or str(variant.context)):
            return variant
    known = ", ".join(str(variant.shown) for variant in model.variants)
    raise BadRequest(f"'{model.name}' has no variant {asked}; it has {known}.", param="variant")


def _serves(running: VariantSpec, wanted: VariantSpec) -> bool:
    return running.model == wanted.model and running.capacity >= wanted.capacity
