"""Let an engine read the beginning of a prompt before its request is there.

1. It takes a free slot of an engine that runs and can read without an answer, while no request
   waits; else it does nothing.
2. It ends as soon as any request has to wait. What was read until then stays in the slot.
3. It is no request: nobody is charged for it, and no list shows it. The request that follows pays
   for its whole prompt, as if nothing had been read.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from inference.upstream_call import UpstreamCall
from inference.usage import usage_of_answer
from utils.errors import GatewayError
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from engine.manager import EngineManager
    from inference.call import Call
    from models.requests.fields import Json
    from models.selection import Selection

_log = get_logger("read_ahead")
# What limits an answer, or asks for one in pieces.
_OF_ANSWERS = ("max_completion_tokens", "n_predict", "stream", "stream_options", "n")


async def read_ahead(manager: EngineManager, call: Call, selection: Selection) -> int | None:
    """Read the prompt of ``call``; return the tokens that were read, None if it was not to be.

    Of its facts, the size is that of the request to come: it goes to the engine that will answer.
    """
    body = without_answer(orjson.loads(call.facts.body))
    reading = UpstreamCall(manager, replace(call, facts=call.facts._replace(body=body)), selection)
    tasks = TaskOwner("read ahead")
    try:
        if not reading.at_once() or not reading.lease.client.reads_ahead:
            return None
        work = tasks.spawn(_read(reading), "read")
        reading.give_way(lambda _request: work.cancel())
        await asyncio.wait([work])
        return None if work.cancelled() else work.result()
    finally:
        await tasks.cancel()
        reading.end()


def without_answer(request: Json) -> bytes:
    """Return the body of a chat that reads the same prompt, and writes nothing."""
    kept = {name: value for name, value in request.items() if name not in _OF_ANSWERS}
    return orjson.dumps({**kept, "max_tokens": 0})


async def _read(reading: UpstreamCall) -> int | None:
    try:
        upstream = await reading.open()
        answer = upstream.first
        while piece := await upstream.read():
            answer += piece
    except GatewayError as error:
        # The request itself will tell what is wrong.
        _log.debug("a prompt was not read ahead: %s", error.message)
        return None
    usage = usage_of_answer(answer)
    reading.answered(usage)
    return usage.read[0] if usage.read is not None else None
