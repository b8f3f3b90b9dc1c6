"""``OllamaPages``: the paths of Ollama's API about models.

Models come from the configuration and from the stores of this machine, so requests to make or
publish one are refused by name. Operators may delete one of a store, and copy any: a copy is one
more name for it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.scheduling.lifecycle import State
from models.downloads.progress import DONE
from models.downloads.reference import HUBS, wanted
from models.requests.reader import decoded
from server.admin.access import require_admin
from server.client_response import LINES_HEADERS
from server.codecs.ollama.answers import LINES, line
from server.codecs.ollama.pages import VERSION, Loaded, ps_page, show_page, tags_page
from server.codecs.ollama.pulls import BEGUN, SUCCESS, VERIFIED, pull_stage
from server.codecs.ollama.requests import wants_stream
from server.known_models import known, listed
from server.uploads.body import read_body
from utils.errors import BadRequest, ModelNotFound, RequestCancelled

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from models.downloads.reference import Wanted
    from models.requests.fields import Json
    from models.spec import ModelSpec
    from server.admin.model_handlers import ModelHandlers
    from server.middleware import RequestContext

_OK = 200
# Bytes of the largest body of a request about a model.
_LARGEST_ORDER = 64 * 1024
_CONFIGURED = "models are set up in the gateway's configuration file"


class OllamaPages:
    """Tells what models there are, fetches others and removes them; refuses to change them."""

    def __init__(self, manager: EngineManager, models: ModelHandlers) -> None:
        self._manager = manager
        self._models = models
        self._pulls = models.downloads
        self._since = time.time()

    async def version(self, ctx: RequestContext) -> None:
        """Answer with the version of the API."""
        await ctx.json({"version": VERSION})

    async def tags(self, ctx: RequestContext) -> None:
        """Answer with every configured model, and its aliases where they are listed."""
        await ctx.json(tags_page(await known(ctx, listed(ctx), brief=True), self._since))

    async def show(self, ctx: RequestContext) -> None:
        """Answer with what is known of the model that the body names."""
        name, model = await _named(ctx)
        [found] = await known(ctx, [(name, model)])
        await ctx.json(show_page(found, self._since))

    async def ps(self, ctx: RequestContext) -> None:
        """Answer with the models that are loaded."""
        manager, catalog = self._manager, ctx.configuration.catalog
        records = [
            record
            for record in manager.records()
            if record.state is State.READY and record.variant.model in catalog
        ]
        models = [(r.variant.model, catalog.find(r.variant.model)) for r in records]
        now = manager.now()
        loaded = []
        for each, record in zip(await known(ctx, models), records, strict=True):
            idle = 0.0 if record.busy else now - record.idle_since
            loaded.append(Loaded(each, record, manager.idle_time(record) - idle))
        await ctx.json(ps_page(loaded, datetime.now(UTC)))

    # -- what the configuration does instead -----------------------------------------

    async def pull(self, ctx: RequestContext) -> None:
        """Answer that a model is there; fetch one of the hub, and tell its progress, if it is not.

        Fetching is for operators. Other models are refused.
        """
        request = await _order(ctx)
        try:
            _find(ctx, request)
        except ModelNotFound as error:
            if not error.name.startswith(HUBS):
                raise ModelNotFound(
                    f"{error.message} To fetch one of the hub: hf.co/USER/REPO:QUANT.",
                    param="model",
                    name=error.name,
                ) from None
            require_admin(ctx.request.headers, ctx.configuration.settings)
            await self._fetch(ctx, wanted(error.name), stream=wants_stream(request))
            return
        if wants_stream(request):
            body = line(BEGUN) + line(SUCCESS)
            await ctx.response.answer(_OK, {"Content-Type": LINES}, body)
        else:
            await ctx.json(SUCCESS)

    async def _fetch(self, ctx: RequestContext, asked: Wanted, *, stream: bool) -> None:
        """Fetch the model and tell each step of it as a line, or only the end."""
        pull = self._pulls.start(asked)
        if stream:
            ctx.response.end_faults(lambda error: line({"error": error.message}))
            await ctx.response.begin(_OK, LINES_HEADERS)
            await ctx.response.write(line(BEGUN))
        async for state in self._pulls.follow(pull):
            if stream and (stage := pull_stage(state)) is not None:
                await ctx.response.write(line(stage))
        if pull.error is not None:
            raise pull.error
        if pull.state != DONE:
            raise RequestCancelled(f"The download was stopped: {pull.why}.")
        if stream:
            await ctx.response.write(line(VERIFIED) + line(SUCCESS))
        else:
            await ctx.json(SUCCESS)

    async def delete(self, ctx: RequestContext) -> None:
        """Delete a copy, or the files of a model that was found here. That is for operators.

        One of the configuration is refused.
        """
        request, catalog = await _order(ctx), ctx.configuration.catalog
        name = _name_in(request)
        if not self._models.copies.has(catalog, name):
            model = catalog.find(name)
            if not model.found:
                raise BadRequest(f"Models cannot be deleted here: {_CONFIGURED}. Remove it there.")
            name = model.name
        require_admin(ctx.request.headers, ctx.configuration.settings)
        await self._models.remove(ctx, name)
        await ctx.response.answer(_OK, {}, b"")

    async def copy(self, ctx: RequestContext) -> None:
        """Give the model ``source`` the name ``destination``, too. That is for operators."""
        request, catalog = await _order(ctx), ctx.configuration.catalog
        source, name = text_in(request, "source"), text_in(request, "destination")
        if not source or not name:
            missing = "destination" if source else "source"
            raise BadRequest(f"'{missing}' is missing.", param=missing)
        catalog.find(source)
        require_admin(ctx.request.headers, ctx.configuration.settings)
        await self._models.copies.add(catalog, source, name)
        await ctx.response.answer(_OK, {}, b"")

    async def create(self, _ctx: RequestContext) -> None:
        """Refuse to make a model."""
        raise BadRequest(f"Models cannot be made here: {_CONFIGURED}.")

    async def push(self, _ctx: RequestContext) -> None:
        """Refuse to publish a model."""
        raise BadRequest("Models cannot be published here.")


def request_in(body: bytes) -> Json:
    """Return the fields of a request; raise BadRequest if there are none."""
    if not body.strip():
        raise BadRequest("The body is missing.")
    return decoded(body)


def text_in(request: Json, name: str) -> str:
    """Return the text of a field; "" if it has none."""
    value = request.get(name)
    return value if isinstance(value, str) else ""


async def _order(ctx: RequestContext) -> Json:
    return request_in(await read_body(ctx, _LARGEST_ORDER))


async def _named(ctx: RequestContext) -> tuple[str, ModelSpec]:
    return _find(ctx, await _order(ctx))


def _find(ctx: RequestContext, request: Json) -> tuple[str, ModelSpec]:
    """Return the name and the model of a request about a model; raise ModelNotFound."""
    name = _name_in(request)
    return name, ctx.configuration.catalog.find(name)


def _name_in(request: Json) -> str:
    # The second field is what old clients send.
    name = text_in(request, "model") or text_in(request, "name")
    if not name:
        raise BadRequest("'model' is missing.", param="model")
    return name
