"""``LiveTalk``: what the messages of a client of the Live Voice API do to its session. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voice.live.messages import Close, EndTurn, Interrupt, Sound
from voice.live.options import PLAIN
from voice.sound import Samples
from voice.told import Reply
from voice.turns import Phase

if TYPE_CHECKING:
    from voice.live.messages import Command
    from voice.live.options import LiveOptions
    from voice.session import Session


class LiveTalk:
    """Performs commands, in their order.

    A client may hear for itself: then its sound is not heard again, and the transcript counts.
    """

    def __init__(self, session: Session, options: LiveOptions) -> None:
        self._session = session
        plain = options.input in PLAIN
        self._samples = Samples(options.rate, wav=options.input == "wav") if plain else None
        # The last transcript of the turn that comes, and that of the turn before.
        self._transcript = ""
        self._asked = ""

    def perform(self, command: Command | None) -> bool:
        """Do what the client wants, if it is known; return False to end the session.

        Raises BadRequest for a sound that cannot be read.
        """
        if isinstance(command, Sound):
            self._hear(command)
        elif isinstance(command, EndTurn):
            self._end(command.transcript or self._transcript)
        elif isinstance(command, Interrupt):
            self._session.interrupt()
        elif isinstance(command, Close):
            return False
        elif command is not None:
            self._session.tell(Reply({"type": "pong"}))
        return True

    def _hear(self, sound: Sound) -> None:
        if sound.transcript:
            self._transcript = sound.transcript
            if not sound.final:
                self._session.expect(sound.transcript)
        elif self._samples is None:
            self._session.add_file(sound.data)
        else:
            self._session.listen(self._samples.feed(sound.data))
        if sound.final:
            self._session.listen_now()
            self._end(self._transcript)

    def _end(self, transcript: str) -> None:
        """End the turn, unless it has ended already: by its last sound, or by silence."""
        session = self._session
        at_rest = session.turns.phase is Phase.LISTENING
        again = transcript == self._asked if transcript else not session.has_sound
        if at_rest or not again:
            session.ask(transcript or None)
            self._asked = transcript
        self._transcript = ""
