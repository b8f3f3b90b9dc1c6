"""The Live Voice API: sessions are asked for, shown and ended; each has one websocket."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from engine.sound.streaming import StreamDecoder
from engine.sound.tools import ENCODED, tool
from server.uploads.body import read_body
from server.voice.asking import Asker
from server.voice.choice import crowded, with_models
from server.voice.kept import KeptSession
from server.voice.socket import EXPIRED, NORMAL, POLICY, UNKNOWN, End, VoiceSocket, has_left, opened
from server.voice.warm import warm
from utils.errors import BadRequest, NotStored
from utils.tasks import TaskOwner
from voice.activity import USUAL, Endpointer, Pace
from voice.history import History
from voice.live.messages import command_of, ready, written
from voice.live.options import INPUTS, PLAIN, options_of
from voice.live.talk import LiveTalk
from voice.live.tokens import Ticket, Tickets
from voice.session import Session
from voice.turns import Manners, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from inference.caller import Caller
    from server.configuration import CurrentConfiguration
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from server.voice.socket import VoiceSockets
    from utils.clock import Clock, Timer
    from voice.hearing.kit import Hearing, Kit
    from voice.live.options import LiveOptions
    from voice.told import Told

_LARGEST_BODY = 256 * 1024
PATH = "/v1/audio/live"
_DIGITS = 9


@dataclass(frozen=True, slots=True, eq=False)
class _Live:
    """A session that was opened."""

    ticket: Ticket
    session: Session
    asker: Asker
    talk: _Talk
    decoder: StreamDecoder | None
    kept: KeptSession
    kit: Kit
    expiry: Timer


class LiveHandlers:
    """``wall`` returns the time of day; how long a session lasts is told by ``clock`` alone."""

    def __init__(
        self,
        handler: RequestHandler,
        current: CurrentConfiguration,
        sockets: VoiceSockets,
        hearing: Hearing,
        clock: Clock,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._handler = handler
        self._current = current
        self._sockets = sockets
        self._hearing = hearing
        self._clock = clock
        self._wall = wall
        self.tickets = Tickets()
        self._open: set[_Live] = set()
        self._tasks = TaskOwner("voice sessions")

    async def create(self, ctx: RequestContext) -> None:
        """Answer with the token of a new session, and with the URL of its websocket."""
        try:
            body = orjson.loads(await read_body(ctx, _LARGEST_BODY))
        except ValueError:
            raise BadRequest("The body is not valid JSON.") from None
        outputs = ("opus", "wav", "pcm") if tool() and "opus" in ENCODED else ("wav", "pcm")
        inputs = INPUTS if self._hearing.decodes() else PLAIN
        asked = options_of(body, outputs, inputs)
        options = await self._handler.understood(
            ctx, 0, lambda: with_models(asked, ctx.configuration)
        )
        now, wall, settings = self._clock.now(), self._wall(), ctx.configuration.settings
        ticket = Ticket(
            token=f"live-{secrets.token_hex(16)}",
            owner=ctx.client,
            caller=ctx.record.caller,
            options=options,
            created_at=_written(wall),
            expires_at=_written(wall + timedelta(minutes=options.minutes)),
            until=now + options.minutes * 60,
        )
        self.tickets.add(ticket, now, settings.max_voice_sessions, settings.max_voice_per_client)
        await ctx.json(self._shown(ctx, ticket))

    async def look(self, ctx: RequestContext) -> None:
        """Answer with what is known of a session of the caller."""
        await ctx.json(self._shown(ctx, self._found(ctx)))

    async def delete(self, ctx: RequestContext) -> None:
        """End a session of the caller."""
        ticket = self._found(ctx)
        self.tickets.remove(ticket)
        if ticket.close is not None:
            ticket.close(NORMAL, "The session was ended.")
        await ctx.json({"session_token": ticket.token, "status": "ended"})

    def revoke(self, good: Callable[[Caller], bool]) -> None:
        """End the sessions of callers that are not good any more."""
        self.tickets.revoke(good, POLICY, "The key is not valid any more.")

    async def connect(self, ctx: RequestContext) -> None:
        """Serve the session whose token the path has; a token that is not good closes with 4004.

        It is that of a new session, or one that ``ready`` told for the next websocket.
        """
        name = ctx.name or ""
        live = next((each for each in self._open if name in each.kept.tokens), None)
        ticket = None if live is not None else self.tickets.redeem(name, self._clock.now())
        if ticket is not None:
            live = await self._begun(ctx, ticket)
        if live is None:
            socket = await opened(ctx)
            reason = b"The session is not known, has expired, or was opened before."
            await socket.close(code=UNKNOWN, message=reason)
            return
        await self._serve(ctx, live)

    async def _begun(self, ctx: RequestContext, ticket: Ticket) -> _Live | None:
        """Return the session of a ticket; None if that was deleted meanwhile."""
        options = ticket.options
        settings, detects = ctx.configuration.settings, options.detects
        try:
            kit = await self._hearing.lend(
                model=detects and settings.voice_activity_model,
                words=options.wake.words if detects and options.wake is not None else (),
                turn_model=settings.voice_turn_model if detects else None,
            )
        except BaseException:
            self.tickets.remove(ticket)
            raise
        if self.tickets.find(ticket.token, ticket.owner, self._clock.now()) is None:
            self._hearing.give_back(kit)
            return None
        asker = Asker(ctx, self._handler, self._current, self._clock, options)
        session = session_of(options, asker, kit, self._clock)
        kept = KeptSession(options.reconnect)
        timer = self._clock.call_at(ticket.until, lambda: kept.close(EXPIRED))
        decodes, hear_on, fail = options.decodes, session.hear_on, session.fail_sound
        decoder = StreamDecoder(hear_on, fail) if decodes else None
        talk = _Talk(session, options, decoder)
        live = _Live(ticket, session, asker, talk, decoder, kept, kit, timer)
        self._open.add(live)
        ticket.close = lambda code, reason: kept.close(End(code, reason))
        session.spawn(warm(ctx, self._handler, options), "warm")
        return live

    async def _serve(self, ctx: RequestContext, live: _Live) -> None:
        """Serve a session over the websocket of this request, until either ends."""
        ticket, kept = live.ticket, live.kept
        ctx.record.caller, ctx.record.client = ticket.caller, ticket.owner
        try:
            socket = await opened(ctx)
            serving = VoiceSocket(
                socket, live.session, live.talk, kept.sent, gone=lambda: has_left(ctx)
            )
            self._sockets.add(kept)
            live.asker.move(ctx)
            await kept.serve(serving, self._first(ctx, live))
        finally:
            if kept.lost:
                self._tasks.spawn(self._wait(live), "wait for a websocket")
            elif not kept.is_open:
                await self._end(live)

    def _first(self, ctx: RequestContext, live: _Live) -> list[Any]:
        """Return what to send first: also what the client has not received."""
        kept, options = live.kept, live.ticket.options
        first = ready(live.ticket.token, options) | _warning(options, ctx)
        if kept.sent is None:
            return [first]
        resumed, told = bool(kept.tokens), ctx.request.query.get("received", "")
        # Python refuses to read thousands of digits.
        received = int(told[:_DIGITS]) if told.isascii() and told.isdecimal() else 0
        missed = kept.sent.after(received) if resumed else []
        more = {"resume_token": kept.renew(), "resumed": resumed, "received": kept.sent.taken}
        return [{**first, **more}, *missed]

    async def _wait(self, live: _Live) -> None:
        """End a session whose websocket was lost, unless it has another one in time."""
        if not await live.kept.waits():
            await self._end(live)

    async def _end(self, live: _Live) -> None:
        live.expiry.cancel()
        self._open.discard(live)
        self._sockets.remove(live.kept)
        try:
            if live.decoder is not None:
                await live.decoder.close()
            await live.session.close()
        finally:
            self._hearing.give_back(live.kit)
            self.tickets.remove(live.ticket)

    def _found(self, ctx: RequestContext) -> Ticket:
        ticket = self.tickets.find(ctx.name or "", ctx.client, self._clock.now())
        if ticket is None:
            raise NotStored("There is no live session of yours with this token.")
        return ticket

    @staticmethod
    def _shown(ctx: RequestContext, ticket: Ticket) -> dict[str, Any]:
        address = ctx.address.replace("http", "ws", 1)
        options = ticket.options
        return {
            "session_token": ticket.token,
            "websocket_url": f"{address}{PATH}/ws/{ticket.token}",
            "created_at": ticket.created_at,
            "expires_at": ticket.expires_at,
            "connected": ticket.opened,
            "models": {"llm": options.model, "stt": options.hearer, "tts": options.speaker},
            "config": options.shown(),
            **_warning(options, ctx),
        }


class _Talk:
    """The protocol of this API."""

    def __init__(
        self, session: Session, options: LiveOptions, decoder: StreamDecoder | None
    ) -> None:
        self._talk = LiveTalk(session, options, decoder)
        self._output = options.output

    async def take(self, message: str | bytes) -> bool:
        """Do what a message says; return False to end."""
        return await self._talk.perform(command_of(message))

    def told(self, told: Told) -> Iterable[Any]:
        """Return the messages that say this."""
        return written(told, self._output)


def session_of(options: LiveOptions, asker: Asker, kit: Kit, clock: Clock) -> Session:
    """Return a session that behaves as the options say, and hears with the ``kit``."""
    history = History(options.system, options.history)
    manners = Manners(interrupts=options.interrupts, wake=options.wake)
    rate = options.heard_rate
    detector = kit.detector(rate, USUAL)
    pace = Pace(silence=options.silence, unfinished=options.unfinished)
    ears = Endpointer(rate, detector, pace)
    turns = Turns(history, manners)
    return Session(
        turns,
        asker,
        ears,
        rate,
        clock,
        detects=options.detects,
        partials=asker.partials,
        spotter=kit.spotter(rate),
        turn_end=kit.turn_end,
    )


def _warning(options: LiveOptions, ctx: RequestContext) -> dict[str, str]:
    found = crowded(options, ctx.configuration)
    return {"warning": found} if found else {}


def _written(when: datetime) -> str:
    return when.isoformat(timespec="seconds").replace("+00:00", "Z")
