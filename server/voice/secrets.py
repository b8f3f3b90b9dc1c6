"""Client secrets of the Realtime API, in its present form and in that of the beta."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import orjson

from accounts.keys import SECRET
from server.uploads.body import read_body
from server.voice.realtime import for_models, serves
from utils.errors import BadRequest
from voice.fields import Fields
from voice.realtime.options import updated
from voice.realtime.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.configuration import Configuration
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from utils.clock import Clock
    from voice.realtime.options import RealtimeOptions
    from voice.realtime.secrets import Secrets

_LARGEST_BODY = 256 * 1024
# Seconds that a secret is good for: at least, at most, usually; and in the beta.
_LEAST, _MOST, _USUAL, _BETA = 10, 7200, 600, 60


class SecretHandlers:
    """Makes secrets; ``wall`` returns seconds since 1970, which only clients are told."""

    def __init__(
        self,
        handler: RequestHandler,
        made: Secrets,
        clock: Clock,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._handler = handler
        self._made = made
        self._clock = clock
        self._wall = wall

    async def create(self, ctx: RequestContext) -> None:
        """Answer with a secret for the session that is described."""
        fields = await _fields(ctx)
        after = fields.at("expires_after")
        after.choice("anchor", ("created_at",), "created_at")
        seconds = after.count("seconds", _USUAL, _LEAST, _MOST)
        session = fields.at("session")
        kind = session.choice("type", ("realtime", "transcription"), "realtime")
        options = await self._options(ctx, session, transcribes=kind == "transcription")
        told = self._secret(ctx, options, seconds)
        shown = options.shown(f"sess_{secrets.token_hex(10)}", beta=False)
        await ctx.json({**told, "session": shown})

    async def create_session(self, ctx: RequestContext) -> None:
        """Answer with the session that is described, as in the beta; its secret is in it."""
        await self._beta(ctx, transcribes=False)

    async def create_transcription(self, ctx: RequestContext) -> None:
        """Answer with a session that only transcribes, as in the beta."""
        await self._beta(ctx, transcribes=True)

    async def _beta(self, ctx: RequestContext, *, transcribes: bool) -> None:
        options = await self._options(ctx, await _fields(ctx), transcribes=transcribes)
        told = self._secret(ctx, options, _BETA)
        shown = options.shown(f"sess_{secrets.token_hex(10)}", beta=True)
        await ctx.json({**shown, "client_secret": told})

    async def _options(
        self, ctx: RequestContext, session: Fields, *, transcribes: bool
    ) -> RealtimeOptions:
        def read() -> RealtimeOptions:
            return _read(ctx.configuration, session, transcribes=transcribes)

        return await self._handler.understood(ctx, 0, read)

    def _secret(
        self, ctx: RequestContext, options: RealtimeOptions, seconds: int
    ) -> dict[str, Any]:
        now, value = self._clock.now(), SECRET + secrets.token_hex(24)
        secret = Secret(value, ctx.client, ctx.record.caller, options, now + seconds)
        self._made.add(secret, now)
        return {"value": value, "expires_at": int(self._wall()) + seconds}


def _read(configuration: Configuration, session: Fields, *, transcribes: bool) -> RealtimeOptions:
    model = "" if transcribes else session.text("model")
    options = for_models(configuration, model, transcribes=transcribes)
    return updated(options, session.whole, lambda name: serves(configuration, name))


async def _fields(ctx: RequestContext) -> Fields:
    body = await read_body(ctx, _LARGEST_BODY)
    try:
        return Fields(orjson.loads(body or b"{}"))
    except ValueError:
        raise BadRequest("The body is not valid JSON.") from None
