"""``ModelHandlers``: the admin paths about the models of this machine and of the hub."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.scheduling.lifecycle import State
from models.discovery.importing import forget, import_folder
from models.discovery.inventory import MANUAL, Taken
from models.downloads.choice import choices
from models.downloads.reference import wanted
from models.downloads.remote_head import resized, usual_facts
from models.downloads.removal import remove
from models.downloads.verify import verify
from server.admin.local_models import (
    entry_called,
    fits,
    local_models,
    models_page,
    this_memory,
    users,
    users_of,
)
from server.admin.params import params_in
from server.admin.served import served_view
from server.admin.show_models import entry_json
from server.admin.show_pulls import choice_json, found_json, pull_event, pull_json
from server.client_response import STREAM_HEADERS
from server.uploads.body import read_body
from utils.errors import BadRequest, ModelInUse, WrongMethod
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.manager import EngineManager
    from models.downloads.choice import Choice
    from models.downloads.hub import Hub
    from models.downloads.pulls import Pulls, PullState
    from models.downloads.reference import Wanted
    from server.admin.copy_store import CopyStore
    from server.admin.params import Params
    from server.admin.reload import Reloader
    from server.middleware import RequestContext

_log = get_logger("admin")
_OK, _ACCEPTED = 200, 202
_LARGEST_ORDER = 64 * 1024
_MOST_FOUND = 100
_MODEL = 'the model: {"model": "NAME"}'
_REPO = 'the repository: {"repo": "USER/REPO:QUANT"}'
_NO_ENGINE = frozenset({State.STOPPED, State.FAILED, State.BACKOFF})


class ModelHandlers:
    """Shows, fetches, checks and removes models. ``folder`` is the state folder."""

    def __init__(
        self,
        manager: EngineManager,
        reloader: Reloader,
        pulls: Pulls,
        hub: Callable[[], Hub],
        folder: Path,
        copies: CopyStore,
    ) -> None:
        self._manager = manager
        self._reloader = reloader
        self.downloads = pulls
        self._hub = hub
        self._folder = folder
        self.copies = copies

    async def close(self) -> None:
        """Stop all downloads; they can be continued later."""
        await self.downloads.close()

    # -- what is here ------------------------------------------------------------------

    async def local(self, ctx: RequestContext) -> None:
        """Answer with every model of this machine, whether it fits, and with those served."""
        loaded, learnt, records = self._loaded(), self._manager.learnt, self._manager.records()
        catalog, types = ctx.configuration.catalog, ctx.configuration.types

        def look() -> dict[str, Any]:
            found = local_models(self._folder)
            machine = this_memory()
            page = models_page(found, users(catalog, types), loaded, machine)
            layers = partial(types.gpu_layers, environ=os.environ)
            forecast = partial(types.forecast, environ=os.environ, machine=machine)
            served = served_view(catalog.models, records, learnt, layers, forecast)
            return {**page, "served": served}

        await ctx.json(await asyncio.to_thread(look))

    async def delete(self, ctx: RequestContext) -> None:
        """Remove the files of the model that the path names, and look for models again."""
        name = ctx.name or ""
        await ctx.json({"removed": name, "files": await self.remove(ctx, name)})

    async def remove(self, ctx: RequestContext, name: str) -> list[str]:
        """Remove a model's files and look for models again; return what is gone.

        Of a copy only the name goes. Raises ModelInUse while the model runs, where it has copies
        and where the configuration names it.
        """
        loaded = self._loaded()
        catalog, types = ctx.configuration.catalog, ctx.configuration.types
        if self.copies.has(catalog, name):
            await self.copies.remove(name)
            return []

        def work() -> list[str]:
            found = local_models(self._folder)
            entry = entry_called(found, name)
            for model in users_of(entry, users(catalog, types)):
                if model.name in loaded:
                    raise ModelInUse(f"'{model.name}' runs; unload it first.")
                if not model.found:
                    raise ModelInUse(f"The configuration names '{model.name}'; remove it there.")
                if model.copies:
                    listed = ", ".join(model.copies)
                    raise ModelInUse(f"'{model.name}' has copies; delete them first: {listed}.")
            if entry.state == MANUAL:
                forget(entry, self._folder)
                return []
            return remove(entry, [each for each in found.entries if each is not entry])

        gone = await asyncio.to_thread(work)
        _log.info("removed %s: %s", name, ", ".join(gone))
        await self._reloader.reload()
        return gone

    async def bring_in(self, ctx: RequestContext) -> None:
        """Remember the models of the folder that the body names, and serve them."""
        params = await _params(ctx)
        place = Path(params.text("dir", 'the folder: {"dir": "/path/to/models"}'))
        params.end()
        if not place.is_absolute():
            raise BadRequest("'dir' must be a full path.", param="dir")
        try:
            found = await asyncio.to_thread(import_folder, place, self._folder, Taken())
        except NotADirectoryError as error:
            raise BadRequest(f"{error}.", param="dir") from None
        await self._reloader.reload()
        await ctx.json({"models": [entry_json(entry) for entry in found.entries]})

    async def verify(self, ctx: RequestContext) -> None:
        """Read all files of the model that the body names; answer what is wrong with them."""
        params = await _params(ctx)
        name = params.text("model", _MODEL)
        params.end()
        left = threading.Event()

        def work() -> list[dict[str, Any]]:
            entry = entry_called(local_models(self._folder), name)
            return [asdict(verdict) for verdict in verify(entry, left.is_set)]

        try:
            files = await asyncio.to_thread(work)
        finally:
            left.set()
        damaged = [each["path"] for each in files if each["problem"]]
        await ctx.json({"model": name, "files": files, "damaged": damaged})

    def _loaded(self) -> set[str]:
        """Return the names of the models that have an engine."""
        records = self._manager.records()
        return {each.variant.model for each in records if each.state not in _NO_ENGINE}

    # -- what the hub has --------------------------------------------------------------

    async def search(self, ctx: RequestContext) -> None:
        """Answer with the repositories that ``?q=`` finds on the hub."""
        query = ctx.request.query
        words = query.get("q") or query.get("query") or ""
        if not words.strip():
            raise BadRequest("'q' must have the words to search for.", param="q")
        limit = query.get("limit", "20")
        if not limit.isascii() or not limit.isdecimal() or not 1 <= int(limit) <= _MOST_FOUND:
            raise BadRequest(f"'limit' must be from 1 to {_MOST_FOUND}.", param="limit")
        async with self._hub() as hub:
            found = await hub.search(words, int(limit))
        await ctx.json({"models": [found_json(each) for each in found]})

    async def files(self, ctx: RequestContext) -> None:
        """Answer with the models of ``?repo=``: sizes, and whether each fits this machine."""
        asked = wanted(ctx.request.query.get("repo", ""))
        async with self._hub() as hub:
            commit, files = await hub.files(asked.repo, asked.revision)
            every = choices(asked.repo, files)
            facts = await usual_facts(hub, asked, commit, every)
        machine = await asyncio.to_thread(this_memory)

        def fitting(choice: Choice) -> dict[str, Any]:
            projector = 0 if choice.projector is None else choice.projector.size
            return fits(facts and resized(facts, choice), machine, projector)

        await ctx.json(
            {
                "repo": asked.repo,
                "commit": commit,
                "models": [choice_json(each) | fitting(each) for each in every],
            }
        )

    # -- downloads ---------------------------------------------------------------------

    async def pull(self, ctx: RequestContext) -> None:
        """Fetch the model that the body names: 202 at once, or its progress as events."""
        params = await _params(ctx)
        asked = _wanted(params)
        params.end()
        await self._show(ctx, self.downloads.start(asked), _ACCEPTED)

    async def pulls(self, ctx: RequestContext) -> None:
        """Answer with all downloads."""
        await ctx.json({"pulls": [pull_json(pull) for pull in self.downloads.every()]})

    async def look_at_pull(self, ctx: RequestContext) -> None:
        """Answer with the download that the path names, or with its progress as events."""
        await self._show(ctx, self.downloads.find(ctx.name or ""), _OK)

    async def change_pull(self, ctx: RequestContext) -> None:
        """Pause or resume the download that the path names."""
        pull_id, _, action = (ctx.name or "").rpartition("/")
        if action == "pause":
            pull = await self.downloads.pause(pull_id)
        elif action == "resume":
            pull = self.downloads.resume(pull_id)
        else:
            raise WrongMethod("POST is for /pause and /resume of a download.", ("GET", "DELETE"))
        await ctx.json(pull_json(pull))

    async def end_pull(self, ctx: RequestContext) -> None:
        """Forget the download that the path names; ``purge`` removes what was fetched of it."""
        purge = ctx.request.query.get("purge", "0") not in {"0", "false", "no"}
        pull = await self.downloads.end(ctx.name or "", purge=purge)
        await ctx.json({"ended": pull.id, "purged": purge})

    async def _show(self, ctx: RequestContext, pull: PullState, status: int) -> None:
        if STREAM_HEADERS["Content-Type"] not in ctx.request.headers.get("Accept", ""):
            await ctx.json(pull_json(pull), status)
            return
        await ctx.response.begin(_OK, STREAM_HEADERS)
        ctx.response.keep_alive(ctx.configuration.settings.keepalive_interval)
        async for state in self.downloads.follow(pull):
            await ctx.response.write(pull_event(state))


def _wanted(params: Params) -> Wanted:
    """Return the model of the body, in the gateway's form or in that of other gateways."""
    text = params.text_or("repo", "") or params.text_or("repo_id", "")
    quant, file = params.text_or("quant", ""), params.text_or("file", "")
    file = file or params.text_or("filename", "")
    revision = params.text_or("revision", "")
    if not text:
        raise BadRequest(f"The body must name {_REPO}.", param="repo")
    return wanted(f"{text}:{quant}" if quant else text, file, revision)


async def _params(ctx: RequestContext) -> Params:
    return params_in(await read_body(ctx, _LARGEST_ORDER))
