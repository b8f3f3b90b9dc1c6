"""``VoiceRoutes``: live voice, whose modules are imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accounts.service import Accounts
    from server.configuration import CurrentConfiguration
    from server.handler import RequestHandler
    from server.middleware import RequestContext
    from server.voice.live import LiveHandlers
    from server.voice.realtime import RealtimeHandlers
    from server.voice.secrets import SecretHandlers
    from server.voice.socket import VoiceSockets
    from utils.clock import Clock
    from voice.hearing.kit import Hearing
    from voice.realtime.secrets import Secrets


class VoiceRoutes:
    """Handles requests for voice sessions; most gateways get none."""

    def __init__(
        self,
        handler: RequestHandler,
        current: CurrentConfiguration,
        clock: Clock,
        accounts: Accounts | None = None,
    ) -> None:
        self._accounts = accounts
        self._handler = handler
        self._current = current
        self._clock = clock
        self._closed = False
        self._sockets: VoiceSockets | None = None
        self._hearing: Hearing | None = None
        self._live: LiveHandlers | None = None
        self._realtime: RealtimeHandlers | None = None
        self._makes: SecretHandlers | None = None
        self._secrets: Secrets | None = None

    async def create(self, ctx: RequestContext) -> None:
        """Answer with a new session of the Live Voice API."""
        await self._handlers().create(ctx)

    async def look(self, ctx: RequestContext) -> None:
        """Answer with what is known of a session."""
        await self._handlers().look(ctx)

    async def delete(self, ctx: RequestContext) -> None:
        """End a session."""
        await self._handlers().delete(ctx)

    async def connect(self, ctx: RequestContext) -> None:
        """Serve the websocket of a session."""
        await self._handlers().connect(ctx)

    async def realtime(self, ctx: RequestContext) -> None:
        """Serve a session of OpenAI's Realtime API."""
        if self._realtime is None:
            from server.voice.realtime import RealtimeHandlers  # noqa: PLC0415 - see above

            self._realtime = RealtimeHandlers(
                self._handler,
                self._current,
                self._open(),
                self._hears(),
                self._handlers().tickets,
                self._made(),
                self._clock,
            )
        await self._realtime.connect(ctx)

    async def secret(self, ctx: RequestContext) -> None:
        """Answer with a client secret for a session of the Realtime API."""
        await self._secret_handlers().create(ctx)

    async def secret_session(self, ctx: RequestContext) -> None:
        """Answer with a session of the Realtime API in its beta, and a secret for it."""
        await self._secret_handlers().create_session(ctx)

    async def secret_transcription(self, ctx: RequestContext) -> None:
        """Answer with a session of the beta that only transcribes, and a secret for it."""
        await self._secret_handlers().create_transcription(ctx)

    def close(self) -> None:
        """End all sessions, as the gateway stops."""
        self._closed = True
        if self._sockets is not None:
            self._sockets.close()

    def _handlers(self) -> LiveHandlers:
        if self._live is None:
            from server.voice.live import LiveHandlers  # noqa: PLC0415 - see above

            sockets, hearing = self._open(), self._hears()
            self._live = LiveHandlers(self._handler, self._current, sockets, hearing, self._clock)
            if self._accounts is not None:
                self._accounts.watch(self._revoke)
        return self._live

    def _secret_handlers(self) -> SecretHandlers:
        if self._makes is None:
            from server.voice.secrets import SecretHandlers  # noqa: PLC0415 - see above

            self._makes = SecretHandlers(self._handler, self._made(), self._clock)
        return self._makes

    def _made(self) -> Secrets:
        if self._secrets is None:
            from voice.realtime.secrets import Secrets  # noqa: PLC0415 - see above

            self._secrets = Secrets()
            self._handlers()
        return self._secrets

    def _revoke(self) -> None:
        """End what belongs to keys that are not good any more."""
        if self._accounts is None:
            return
        if self._live is not None:
            self._live.revoke(self._accounts.knows)
        if self._secrets is not None:
            self._secrets.revoke(self._accounts.knows)

    def _hears(self) -> Hearing:
        if self._hearing is None:
            from voice.hearing.kit import Hearing  # noqa: PLC0415 - see above

            self._hearing = Hearing()
        return self._hearing

    def _open(self) -> VoiceSockets:
        if self._sockets is None:
            from server.voice.socket import VoiceSockets  # noqa: PLC0415 - see above

            self._sockets = VoiceSockets()
            self._sockets.closed = self._closed
        return self._sockets
