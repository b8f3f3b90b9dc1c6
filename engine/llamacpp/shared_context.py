"""Limit the answers of slots that share one context, so that none takes the room of the others.

llama-server with a unified KV cache (``-kvu``) gives each slot the whole context. An answer without
a limit goes on until all of it is full, and then every slot fails. So each answer is limited to
what its variant's ``context`` has left after the prompt. An answer that reaches the limit ends as
at a full context, and can be continued in a larger variant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from engine.base import EngineHooks, Placement
from utils.errors import CountUnavailable

if TYPE_CHECKING:
    from engine.base import EngineClient, Launch
    from models.requests.endpoints import Endpoint
    from models.requests.reader import RequestFacts


class SharedContextHooks(EngineHooks):
    """The hooks ``inner``, and a limit: prompt and answer have ``context`` tokens at most."""

    def __init__(self, inner: EngineHooks, client: EngineClient, context: int) -> None:
        self._inner = inner
        self._client = client
        self._context = context

    @property
    def prompt_cache(self) -> str:
        """Return whether prompts are saved and restored, as ``inner`` does."""
        return self._inner.prompt_cache

    async def prepared(self, launch: Launch) -> Launch:
        """Return the launch with the additions of ``inner``."""
        return await self._inner.prepared(launch)

    async def assign(self, facts: RequestFacts) -> Placement | None:
        """Return the request's place, with a limit if its prompt can be counted."""
        room = None
        if facts.endpoint.generates and facts.endpoint.limits:
            try:
                room = max(1, self._context - await self._client.count(facts))
            except CountUnavailable:
                room = None
        place = await self._inner.assign(facts)
        return place if room is None else LimitedPlacement(place, facts.endpoint, room)

    async def before_stop(self) -> None:
        """Call the hook of ``inner``."""
        await self._inner.before_stop()

    def ended(self) -> None:
        """Call the hook of ``inner``."""
        self._inner.ended()


class LimitedPlacement(Placement):
    """A place, if there is one, for a request that may write ``room`` tokens at most."""

    def __init__(self, inner: Placement | None, endpoint: Endpoint, room: int) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._room = room

    def body(self, body: bytes) -> bytes:
        """Return the request's body with the limit."""
        body = limited(body, self._endpoint, self._room)
        return body if self._inner is None else self._inner.body(body)

    def answered(
        self,
        tokens: int | None = None,
        cached: int | None = None,
        read: tuple[int, float] | None = None,
    ) -> None:
        """Note that the engine has answered the request."""
        if self._inner is not None:
            self._inner.answered(tokens, cached, read)

    def refused(self) -> None:
        """Note that the engine has not begun with the request."""
        if self._inner is not None:
            self._inner.refused()

    def broken_off(self) -> None:
        """Note that the request has ended while its prompt was read."""
        if self._inner is not None:
            self._inner.broken_off()


def limited(body: bytes, endpoint: Endpoint, room: int) -> bytes:
    """Return the body with a limit of ``room`` tokens, unless its own limit is as low.

    A body that is not a JSON object is not changed; the engine refuses it.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(request, dict):
        return body
    own = next((request[name] for name in endpoint.limits if request.get(name) is not None), None)
    # A negative number means no limit. The engine refuses a limit that is not a number.
    if own is not None and (not isinstance(own, int) or 0 <= own <= room):
        return body
    rest = {name: value for name, value in request.items() if name not in endpoint.limits}
    return orjson.dumps({endpoint.limits[0]: room, **rest})
