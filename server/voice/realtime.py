"""OpenAI's Realtime API: ``/v1/realtime?model=…``, a websocket that is a session."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from models.catalog import AUTO
from models.requests.endpoints import CHAT, SPEECH, TRANSCRIPTION
from server.errors import shape_of
from server.voice.asking import Asker
from server.voice.choice import chosen, require
from server.voice.socket import NORMAL, End, VoiceSocket, opened
from utils.errors import GatewayError, VoiceUnavailable
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
        clock: Clock,
    ) -> None:
        self._handler = handler
        self._current = current
        self._sockets = sockets
        self._hearing = hearing
        self._tickets = tickets
        self._clock = clock

    async def connect(self, ctx: RequestContext) -> None:
        """Serve a session until the client leaves, or its time is over.

        Before that ModelNotFound, NotCapable, VoiceUnavailable or RateLimited.
        """
        options = await self._handler.understood(ctx, 0, lambda: options_of(ctx))
        now, settings = self._clock.now(), ctx.configuration.settings
        token, until = secrets.token_hex(16), now + _LASTS
        caller = ctx.record.caller
        ticket = Ticket(token, ctx.client, caller, options.models, "", "", until, opened=True)
        self._tickets.add(ticket, now, settings.max_voice_sessions, settings.max_voice_per_client)
        try:
            kit = await self._hearing.lend(model=settings.voice_activity_model)
            try:
                await self._serve(ctx, ticket, options, kit)
            finally:
                self._hearing.give_back(kit)
        finally:
            self._tickets.remove(ticket)

    async def _serve(
        self, ctx: RequestContext, ticket: Ticket, options: RealtimeOptions, kit: Kit
    ) -> None:
        asker = Asker(ctx, self._handler, self._current, self._clock, options.models)
        detector = partial(kit.detector, SPOKEN)
        ears = Endpointer(SPOKEN, detector(USUAL), options.detection.pace())
        turns = Turns(History(length=options.models.history), Manners())
        session = Session(turns, asker, ears, SPOKEN, self._clock, partials=asker.partials)

        def use(models: LiveOptions) -> None:
            asker.options = models

        def asking(models: LiveOptions) -> Asker:
            return Asker(ctx, self._handler, self._current, self._clock, models)

        def hears(name: str) -> bool:
            return bool(name) and _serves(self._current.now, name)

        told = ctx.request.headers.get("Sec-WebSocket-Protocol", "")
        beta = "realtime=v1" in ctx.request.headers.get("OpenAI-Beta", "") or _BETA in told
        events = Events(_error_of, beta=beta)
        talk = RealtimeTalk(session, events, options, use, asking, hears, self._clock, detector)
        socket = VoiceSocket(await opened(ctx, (_PROTOCOL,)), session, talk)
        self._sockets.add(socket)
        ticket.close = lambda: socket.close(End(NORMAL, "The session was ended."))
        try:
            await socket.serve(talk.first(), ticket.until - self._clock.now())
        finally:
            self._sockets.remove(socket)


def options_of(ctx: RequestContext) -> RealtimeOptions:
    """Return the session that the query asks for, with a model for each task."""
    query, configuration = ctx.request.query, ctx.configuration
    transcribes = query.get("intent") == "transcription"
    model = query.get("model") or ""
    if transcribes:
        known = model if _serves(configuration, model) else ""
        return usual("", chosen(configuration, TRANSCRIPTION, known), "", transcribes=True)
    model = model or configuration.catalog.default or AUTO
    require(configuration, CHAT, model)
    try:
        speaker = chosen(configuration, SPEECH, "")
    except VoiceUnavailable:
        # It writes its answers.
        speaker = ""
    return usual(model, chosen(configuration, TRANSCRIPTION, ""), speaker, transcribes=False)


def _serves(configuration: Configuration, name: str) -> bool:
    """Return whether a model of this name transcribes."""
    try:
        require(configuration, TRANSCRIPTION, name)
    except GatewayError:
        return False
    return True


def _error_of(error: GatewayError) -> tuple[str, str]:
    shape = shape_of(error)
    return shape.type, shape.code
