"""OpenAI's Realtime API: ``/v1/realtime?model=…``, a websocket that is a session."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from accounts.keys import SECRET, presented
from models.catalog import AUTO
from models.requests.endpoints import CHAT, SPEECH, TRANSCRIPTION
from server.errors import shape_of
from server.voice.asking import Asker
from server.voice.choice import chosen, require
from server.voice.socket import EXPIRED, End, VoiceSocket, opened
from server.voice.warm import warm
from utils.errors import BadRequest, GatewayError, KeyRefused, VoiceUnavailable
from voice.activity import USUAL, Endpointer
from voice.history import History
from voice.live.tokens import Ticket
from voice.realtime.events import Events
from voice.realtime.options import usual
from voice.realtime.talk import RealtimeTalk
from voice.session import Session
from voice.sound import SPOKEN
from voice.turns import Manners, Turns

if TYPE_CHECKING:
    from server.configuration import Configuration, CurrentConfiguration
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from server.voice.socket import VoiceSockets
    from utils.clock import Clock
    from voice.hearing.kit import Hearing, Kit
    from voice.live.options import LiveOptions
    from voice.live.tokens import Tickets
    from voice.realtime.options import RealtimeOptions
    from voice.realtime.secrets import Secrets

# Seconds that a session lasts, as OpenAI's do.
_LASTS = 60 * 60
_BETA = "openai-beta.realtime-v1"
_PROTOCOL = "realtime"


class RealtimeHandlers:
    """Its sessions count together with those of the Live Voice API."""

    def __init__(
        self,
        handler: RequestHandler,
        current: CurrentConfiguration,
        sockets: VoiceSockets,
        hearing: Hearing,
        tickets: Tickets,
        made: Secrets,
        clock: Clock,
    ) -> None:
        self._handler = handler
        self._current = current
        self._sockets = sockets
        self._hearing = hearing
        self._tickets = tickets
        self._secrets = made
        self._clock = clock

    async def connect(self, ctx: RequestContext) -> None:
        """Serve a session until the client leaves, or its time is over.

        Before that ModelNotFound, NotCapable, VoiceUnavailable or RateLimited; KeyRefused for a
        client secret that cannot be used.
        """
        options = self._by_secret(ctx)
        if options is None:
            options = await self._handler.understood(ctx, 0, lambda: options_of(ctx))
        now, settings = self._clock.now(), ctx.configuration.settings
        token, until = secrets.token_hex(16), now + _LASTS
        caller = ctx.record.caller
        ticket = Ticket(token, ctx.client, caller, options.models, "", "", until, opened=True)
        self._tickets.add(ticket, now, settings.max_voice_sessions, settings.max_voice_per_client)
        try:
            kit = await self._hearing.lend(
                model=settings.voice_activity_model, turn_model=settings.voice_turn_model
            )
            try:
                if not self._tickets.has(ticket):
                    raise KeyRefused
                await self._serve(ctx, ticket, options, kit)
            finally:
                self._hearing.give_back(kit)
        finally:
            self._tickets.remove(ticket)

    def _by_secret(self, ctx: RequestContext) -> RealtimeOptions | None:
        """Return the session that a client secret opens, for who has made it; None without one."""
        value = presented(ctx.request.headers) or ""
        if not value.startswith(SECRET):
            return None
        secret = self._secrets.find(value, self._clock.now())
        if secret is None:
            raise KeyRefused
        model, named = secret.options.models.model, ctx.request.query.get("model")
        if named and model and named != model:
            raise BadRequest(f"The client secret is for the model '{model}'.", param="model")
        self._secrets.use(secret)
        ctx.record.caller, ctx.record.client = secret.caller, secret.owner
        return secret.options

    async def _serve(
        self, ctx: RequestContext, ticket: Ticket, options: RealtimeOptions, kit: Kit
    ) -> None:
        asker = Asker(ctx, self._handler, self._current, self._clock, options.models)
        detector = partial(kit.detector, SPOKEN)
        ears = Endpointer(SPOKEN, detector(USUAL), options.detection.pace())
        turns = Turns(History(length=options.models.history), Manners())
        session = Session(
            turns,
            asker,
            ears,
            SPOKEN,
            self._clock,
            partials=asker.partials,
            turn_end=kit.turn_end,
        )

        def use(models: LiveOptions) -> None:
            asker.options = models

        def asking(models: LiveOptions) -> Asker:
            return Asker(ctx, self._handler, self._current, self._clock, models)

        def hears(name: str) -> bool:
            return serves(self._current.now, name)

        told = ctx.request.headers.get("Sec-WebSocket-Protocol", "")
        beta = "realtime=v1" in ctx.request.headers.get("OpenAI-Beta", "") or _BETA in told
        events = Events(_error_of, beta=beta)
        talk = RealtimeTalk(session, events, options, use, asking, hears, self._clock, detector)
        socket = VoiceSocket(await opened(ctx, (_PROTOCOL,)), session, talk)
        self._sockets.add(socket)
        ticket.close = lambda code, reason: socket.close(End(code, reason))
        session.spawn(warm(ctx, self._handler, options.models), "warm")
        timer = self._clock.call_at(ticket.until, lambda: socket.close(EXPIRED))
        try:
            await socket.serve(talk.first())
        finally:
            timer.cancel()
            self._sockets.remove(socket)


def options_of(ctx: RequestContext) -> RealtimeOptions:
    """Return the session that the query asks for, with a model for each task."""
    query, configuration = ctx.request.query, ctx.configuration
    transcribes = query.get("intent") == "transcription"
    return for_models(configuration, query.get("model") or "", transcribes=transcribes)


def for_models(configuration: Configuration, model: str, *, transcribes: bool) -> RealtimeOptions:
    """Return the session of a model, or of the usual one if it is "", with one for each task."""
    if transcribes:
        known = model if serves(configuration, model) else ""
        return usual("", chosen(configuration, TRANSCRIPTION, known), "", transcribes=True)
    model = model or configuration.catalog.default or AUTO
    require(configuration, CHAT, model)
    try:
        speaker = chosen(configuration, SPEECH, "")
    except VoiceUnavailable:
        # It writes its answers.
        speaker = ""
    return usual(model, chosen(configuration, TRANSCRIPTION, ""), speaker, transcribes=False)


def serves(configuration: Configuration, name: str) -> bool:
    """Return whether a model of this name transcribes."""
    if not name:
        return False
    try:
        require(configuration, TRANSCRIPTION, name)
    except GatewayError:
        return False
    return True


def _error_of(error: GatewayError) -> tuple[str, str]:
    shape = shape_of(error)
    return shape.type, shape.code
