"""Load the models of a session when it begins, so that its first turn does not wait for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from models.requests.endpoints import CHAT
from server.handler import read_translated
from utils.errors import GatewayError
from utils.logger import get_logger

if TYPE_CHECKING:
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from voice.live.options import LiveOptions

_log = get_logger("voice")


async def warm(ctx: RequestContext, handler: RequestHandler, options: LiveOptions) -> None:
    """Load those that are not loaded, side by side as far as no other model ends for it.

    Of a route, the model is chosen by the question, so none is loaded. Failures are only logged:
    the first turn will tell them.
    """
    caller = ctx.record.caller
    if caller is None or caller.may_load:
        names = dict.fromkeys((options.hearer, options.model, options.speaker))
        await asyncio.gather(*(_load(ctx, handler, options, name) for name in names if name))


async def _load(
    ctx: RequestContext, handler: RequestHandler, options: LiveOptions, name: str
) -> None:
    if not ctx.configuration.catalog.has_model(name):
        return
    try:
        model, facts = ctx.configuration.catalog.find(name), None
        if name == options.model:
            question = {"role": "user", "content": options.system}
            asked = {"model": name, "messages": [question], "max_tokens": options.max_tokens}
            # The name in the path is that of the session.
            model, facts = read_translated(replace(ctx, name=None, routed=None), CHAT, asked)
        await handler.load(model, facts)
    except GatewayError as error:
        _log.debug("%s was not loaded ahead: %s", name, error.message)
