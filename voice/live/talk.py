"""``LiveTalk``: what the messages of a client of the Live Voice API do to its session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.sound.kinds import kind_of
from voice.live.messages import Close, EndTurn, Interrupt, Sound
from voice.live.options import PLAIN
from voice.sound import Samples
from voice.told import Reply
from voice.turns import Phase

if TYPE_CHECKING:
    from voice.live.messages import Command
    from voice.live.options import LiveOptions
    from voice.session import Session


class Decoder(Protocol):
    """Decodes recordings while they come; the session hears what it makes of them."""

    @property
    def is_unused(self) -> bool:
        """Whether no sound has come yet."""
        ...

    async def feed(self, piece: bytes) -> None:
        """Take the next piece of the sound."""
        ...

    async def caught_up(self) -> None:
        """Return once all sound so far was heard, or has failed."""
        ...


class LiveTalk:
    """Performs commands, in their order.

    A client may hear for itself: then its sound is not heard again, and the transcript counts.
    Without a ``decoder``, sound that is no samples is heard as a file, once its turn has ended.
    """

    def __init__(
        self, session: Session, options: LiveOptions, decoder: Decoder | None = None
    ) -> None:
        self._session = session
        plain = options.input in PLAIN
        self._samples = Samples(options.rate, wav=options.input == "wav") if plain else None
        self._decoder = decoder
        # The last transcript of the turn that comes, and that of the turn before.
        self._transcript = ""
        self._asked = ""

    async def perform(self, command: Command | None) -> bool:
        """Do what the client wants, if it is known; return False to end the session.

        Raises BadRequest for a sound that cannot be read.
        """
        if isinstance(command, Sound):
            await self._hear(command)
        elif isinstance(command, EndTurn):
            await self._end(command.transcript or self._transcript)
        elif isinstance(command, Interrupt):
            self._session.interrupt()
        elif isinstance(command, Close):
            return False
        elif command is not None:
            self._session.tell(Reply({"type": "pong"}))
        return True

    async def _hear(self, sound: Sound) -> None:
        if sound.transcript:
            self._transcript = sound.transcript
            if not sound.final:
                self._session.expect(sound.transcript)
        elif self._samples is not None:
            self._session.listen(self._samples.feed(sound.data))
        elif self._decoder is None or self._is_whole(sound):
            self._session.add_file(sound.data)
        else:
            await self._decoder.feed(sound.data)
        if sound.final:
            await self._end(self._transcript)

    def _is_whole(self, sound: Sound) -> bool:
        """Return whether this is the only recording of a client that ends its turns itself."""
        unused = self._decoder is not None and self._decoder.is_unused
        return unused and sound.final and bool(kind_of(sound.data))

    async def _end(self, transcript: str) -> None:
        """End the turn, unless it has ended already: by its last sound, or by silence."""
        session = self._session
        if not transcript:
            if self._decoder is not None:
                await self._decoder.caught_up()
            session.listen_now()
        at_rest = session.turns.phase is Phase.LISTENING
        again = transcript == self._asked if transcript else not session.has_sound
        if at_rest or not again:
            session.ask(transcript or None)
            self._asked = transcript
        self._transcript = ""
