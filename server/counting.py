"""Count the tokens of a chat for a client that asks for their number alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from models.requests.endpoints import AUXILIARY
from server.codecs.collect import CollectingSink
from server.handler import translated_call
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from models.requests.facts import RequestFacts
    from models.spec import ModelSpec
    from server.handler import RequestHandler
    from server.middleware import RequestContext

_PATH = "/v1/chat/completions/input_tokens"


async def prompt_tokens(
    handler: RequestHandler, ctx: RequestContext, model: ModelSpec, facts: RequestFacts
) -> int | None:
    """Return the tokens of a chat; None if the client has been told of an engine's error.

    An engine is started only if nothing counts without one. Raises EngineRefused if it does not
    say the number.
    """
    ctx.record.model = model.name
    if (tokens := await handler.count(model, facts)) is not None:
        return tokens
    whole = orjson.dumps(orjson.loads(facts.body) | {"stream": False})
    asked = facts._replace(endpoint=AUXILIARY, body=whole, stream=False, max_output=0)
    sink = CollectingSink(ctx.response)
    await handler.run(ctx, translated_call(ctx, model, asked, _PATH), sink)
    return None if sink.refused else _counted(sink.body)


def _counted(body: bytes) -> int:
    try:
        return int(orjson.loads(body)["input_tokens"])
    except (ValueError, KeyError, TypeError):
        raise EngineRefused("The engine does not say how many tokens it would read.") from None
