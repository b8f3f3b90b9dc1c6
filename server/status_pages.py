"""``StatusPages``: the pages that the gateway answers itself, without an engine."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import orjson

from models.requests.endpoints import SPEECH
from server.anthropic_models import VERSION, anthropic_model, anthropic_page
from server.signposts import ROOT_OF_OLLAMA, is_ollamas, root_page
from server.status import (
    aliased,
    health_view,
    missing_view,
    model_view,
    models_view,
    route_view,
    voices_view,
)
from server.upstream_page import upstream_page
from utils.collector import uncollected

if TYPE_CHECKING:
    from accounts.service import Accounts
    from engine.manager import EngineManager
    from server.middleware import RequestContext

_OK = 200
_HTML = {"Content-Type": "text/html; charset=utf-8"}
SPEAKS = SPEECH.needs
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}
_JSON = {"Content-Type": "application/json; charset=utf-8"}
# So many models are listed in a thread.
_MANY = 500


def _written(page: dict[str, Any]) -> bytes:
    """Return the page as JSON, written entry by entry: other threads have their turns between."""
    entries = b",".join(orjson.dumps(entry) for entry in page["data"])
    return b'{"object":"list","data":[' + entries + b"]}"


class StatusPages:
    """Shows the models and the gateway's health."""

    def __init__(self, manager: EngineManager, accounts: Accounts | None = None) -> None:
        self._manager = manager
        self._accounts = accounts
        self._created = int(time.time())

    async def root(self, ctx: RequestContext) -> None:
        """Answer with the base URLs for each kind of client; Ollama's expect a certain text."""
        if is_ollamas(ctx.request.headers):
            await ctx.response.answer(_OK, _TEXT, ROOT_OF_OLLAMA)
            return
        await ctx.json(root_page(ctx.address))

    async def models(self, ctx: RequestContext) -> None:
        """Answer with every configured model, loaded or not."""
        catalog, able = ctx.configuration.catalog, ctx.configuration.able
        records, aliases = self._manager.records(), ctx.configuration.settings.list_aliases
        types, learnt = ctx.configuration.types, self._manager.learnt
        room = self._manager.room()

        def made() -> dict[str, Any]:
            return models_view(
                catalog,
                able,
                records,
                self._created,
                aliases=aliases,
                licences={model.name: types.licence(model) for model in catalog.models},
                learnt=learnt,
                room=room,
            )

        if len(catalog.models) > _MANY and VERSION not in ctx.request.headers:
            # Thousands of entries would hold up all others for a third of a second.
            with uncollected():
                body = await asyncio.to_thread(lambda: _written(made()))
            await ctx.response.answer(_OK, _JSON, body)
            return
        page = made()
        if VERSION in ctx.request.headers:
            page = anthropic_page(page["data"], ctx.request.query)
        await ctx.json(page)

    async def model(self, ctx: RequestContext) -> None:
        """Answer with the model that the path names; raise ModelNotFound if there is none."""
        catalog, able = ctx.configuration.catalog, ctx.configuration.able
        if (route := catalog.routes.get(ctx.name or "")) is not None:
            await ctx.json(route_view(route, catalog, able, self._created))
            return
        if (missing := catalog.missing.get(ctx.name or "")) is not None:
            await ctx.json(missing_view(missing, self._created))
            return
        model = catalog.find(ctx.name)
        licence = ctx.configuration.types.licence(model)
        records, learnt = self._manager.records(), self._manager.learnt
        entry = model_view(
            model, able, records, self._created, licence, learnt, room=self._manager.room()
        )
        if ctx.name and ctx.name in model.aliases and ctx.configuration.settings.list_aliases:
            entry = aliased(entry, ctx.name)
        if VERSION in ctx.request.headers:
            entry = anthropic_model(entry)
        await ctx.json(entry)

    async def upstream(self, ctx: RequestContext) -> None:
        """Answer with a page that lists the models and leads to their engines."""
        catalog, able = ctx.configuration.catalog, ctx.configuration.able
        page = models_view(catalog, able, self._manager.records(), self._created)
        engines = [entry for entry in page["data"] if "state" in entry]
        await ctx.response.answer(_OK, _HTML, upstream_page(engines))

    async def voices(self, ctx: RequestContext) -> None:
        """Answer with the voices of every model that speaks; starts nothing."""
        configuration = ctx.configuration
        voices = [
            (model, voice)
            for model in configuration.catalog.models
            if SPEAKS in configuration.able[model.name].certain
            for voice in configuration.types.voices(model)
        ]
        await ctx.json(voices_view(voices))

    async def health(self, ctx: RequestContext) -> None:
        """Answer with the gateway's state and that of each engine."""
        records, waiting = self._manager.records(), self._manager.waiting()
        health = health_view(records, waiting, closing=ctx.closing)
        if self._accounts is not None:
            health["accounts"] = self._accounts.health()
        await ctx.json(health)
