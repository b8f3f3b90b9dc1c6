"""``Turns``: whose turn it is in a conversation. Pure: what happens goes in, what to do comes out.

Every turn has a number. What comes late from an older turn changes nothing. In the history is what
was said and heard, and nothing else: an answer is added when it has ended, or with the words that
were heard when it is interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from voice.history import Entry
from voice.playout import Playout
from voice.told import (
    Began,
    Interrupted,
    NotCalled,
    Partial,
    SpeechStarted,
    SpeechStopped,
    Understood,
)

if TYPE_CHECKING:
    from voice.history import History, ToolCall
    from voice.told import Told
    from voice.wake import WakeWords


class Phase(StrEnum):
    """What the newest turn is at.

    HEARING: it is made a text. While LISTENING, its answer may still be playing.
    """

    LISTENING = "listening"
    HEARING = "hearing"
    THINKING = "thinking"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class Hear:
    """Make a text of the sound of the turn.

    ``more``: the turn before was stopped while it was heard, and this goes on with it.
    """

    turn: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Think:
    """Ask the model, and speak its answer."""

    turn: int
    messages: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Stop:
    """End all work for the turn: nothing of it is wanted any more."""

    turn: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Send no more speech until ``Release``: perhaps the listener speaks."""


@dataclass(frozen=True, slots=True)
class Release:
    """Go on to send speech."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the client."""

    told: Told


Effect = Hear | Think | Stop | Hold | Release | Tell


@dataclass(slots=True)
class Manners:
    """How a session behaves; it can be changed at any time.

    ``interrupts``: speech interrupts an answer. ``answers``: a turn is answered without being
    asked for. ``speaks``: answers are spoken; else they count as heard once they are written.
    """

    interrupts: bool = True
    answers: bool = True
    speaks: bool = True
    wake: WakeWords | None = None


class Turns:
    """The state of a conversation; ``lead`` is that of its playout. ``now`` is in seconds."""

    def __init__(self, history: History, manners: Manners, lead: float = 3.0) -> None:
        self.history = history
        self.manners = manners
        self.turn = 0
        self.phase = Phase.LISTENING
        self.playout = Playout(lead)
        self._lead = lead
        self._held = False
        self._wanted = False
        # Whether a turn was stopped while it was heard, as its speech went on.
        self._unheard = False
        # What of the answer was written and, without a voice, heard.
        self._written = ""
        # The turn whose answer the playout is.
        self._answer = 0

    def under_way(self) -> bool:
        """Return whether an answer is being made."""
        return self.phase in (Phase.THINKING, Phase.SPEAKING)

    def goes_on(self) -> bool:
        """Return whether the next turn goes on with one that was stopped while it was heard."""
        return self._unheard

    def expects(self, now: float) -> bool:
        """Return whether what is said now will be a turn: there is no answer to speak into."""
        return self.phase is Phase.LISTENING and not self.playout.playing(now)

    def coming(self, said: str = "") -> list[dict[str, Any]] | None:
        """Return what the model will be asked, if the turn that comes begins with ``said``.

        None while an answer is made: nobody knows how much of it will be heard.
        """
        if self.under_way():
            return None
        if said and self.manners.wake is not None:
            said = self.manners.wake.request(said) or ""
        return self.history.messages(Entry(question_of(self.turn + 1), "user", said))

    # -- the speech of the user ------------------------------------------------------

    def began(self, now: float) -> list[Effect]:
        """Take in that perhaps somebody speaks: an answer waits for what it is."""
        effects: list[Effect] = [Tell(SpeechStarted(self.turn + 1))]
        if self.manners.interrupts and (self.under_way() or self.playout.playing(now)):
            self._held = True
            effects.append(Hold())
        return effects

    def sure(self, now: float) -> list[Effect]:
        """Take in that somebody speaks: an answer is interrupted, and a turn goes on."""
        if not self.manners.interrupts:
            return []
        self._unheard = self.phase is Phase.HEARING
        return self._interrupted(now)

    def dropped(self) -> list[Effect]:
        """Take in that it was a noise: the answer goes on."""
        return [Tell(SpeechStopped(0)), *self._released()]

    def ended(self, now: float) -> list[Effect]:
        """Take in that the user has ended.

        It is a new turn. During an answer that was not interrupted, it was a noise.
        """
        if self.under_way() or self.playout.playing(now):
            return self.dropped()
        more = self._unheard or self.phase is Phase.HEARING
        begun = self._begin(now)
        return [Tell(SpeechStopped(self.turn)), *begun, Hear(self.turn, more)]

    def asked(self, now: float, text: str | None = None, *, answer: bool = True) -> list[Effect]:
        """Begin a turn at the client's word, with its ``text``, or with the sound if it is None.

        It is answered if ``answer``; an older turn ends.
        """
        effects = self._begin(now)
        self._wanted = answer
        if text is None:
            return [*effects, Hear(self.turn)]
        return [*effects, *self.understood(self.turn, text)]

    def answered(self, now: float, messages: list[dict[str, Any]] | None = None) -> list[Effect]:
        """Begin an answer at the client's word, to ``messages`` or to what is in the history.

        While the last turn is being heard, it is answered once it is understood.
        """
        if self.phase is Phase.HEARING and messages is None:
            self._wanted = True
            return []
        return [*self._begin(now), *self._think(messages)]

    def interrupt(self, now: float) -> list[Effect]:
        """Interrupt at the client's word: an answer, or the hearing of a turn."""
        self._unheard = False
        return self._interrupted(now)

    # -- the work for a turn ---------------------------------------------------------

    def understood_so_far(self, turn: int, text: str) -> list[Effect]:
        """Take in the text of the speech so far, which will be the turn ``turn``."""
        text = text.strip()
        late = turn != self.turn + 1 or self.phase is not Phase.LISTENING
        return [] if late or not text else [Tell(Partial(turn, text))]

    def uncalled(self, turn: int) -> list[Effect]:
        """Take in that the sound of a turn has no wake word: it is no turn, and is not heard."""
        if turn != self.turn or self.phase is not Phase.HEARING:
            return []
        self.phase = Phase.LISTENING
        return [Tell(NotCalled(turn, called=False))]

    def understood(self, turn: int, text: str, *, called: bool = False) -> list[Effect]:
        """Take in the text of a turn; without a wake word that is needed, it is no turn.

        ``called``: the wake word was found in its sound.
        """
        if turn != self.turn or self.phase is not Phase.HEARING:
            return []
        self.phase = Phase.LISTENING
        text = text.strip()
        effects: list[Effect] = [Tell(Understood(turn, text))]
        if not text:
            return effects
        if (wake := self.manners.wake) is not None:
            request = wake.request(text, called=called)
            if not request:
                return [*effects, Tell(NotCalled(turn, called=request is not None))]
            text = request
        self.history.add(Entry(question_of(turn), "user", text))
        return [*effects, *(self._think() if self._wanted else [])]

    def wrote(self, turn: int, text: str) -> None:
        """Take in the next piece of an answer's text, which was passed on."""
        if turn == self.turn and self.under_way():
            self._written += text

    def sent(self, turn: int, text: str, seconds: float, now: float) -> bool:
        """Take in that speech was sent; return False, and forget it, if it is not wanted."""
        if turn != self.turn or not self.under_way():
            return False
        self.phase = Phase.SPEAKING
        self.playout.send(text, seconds, now)
        return True

    def complete(self, turn: int, text: str, calls: tuple[ToolCall, ...] = ()) -> bool:
        """Take in that all of an answer was sent; return False if it is not wanted any more."""
        if turn != self.turn or not self.under_way():
            return False
        self.phase = Phase.LISTENING
        if text.strip() or calls:
            self.history.add(Entry(answer_of(turn), "assistant", text, calls=calls))
        return True

    def failed(self, turn: int, now: float) -> bool:
        """Take in that the work for a turn has failed; return False if it is not wanted any more.

        What was heard of its answer stays.
        """
        if turn != self.turn or self.phase is Phase.LISTENING:
            return False
        if self.under_way():
            self._keep(now)
        self.phase = Phase.LISTENING
        self._held = False
        return True

    # -- inside ----------------------------------------------------------------------

    def _begin(self, now: float) -> list[Effect]:
        # An answer that is complete counts as heard, unless its listener breaks in.
        effects = self._interrupted(now, playing=False)
        self.turn += 1
        self.phase = Phase.HEARING
        self._unheard = False
        self._wanted = self.manners.answers
        return effects

    def _think(self, messages: list[dict[str, Any]] | None = None) -> list[Effect]:
        self.phase = Phase.THINKING
        self.playout, self._written = Playout(self._lead), ""
        self._answer = self.turn
        asked = self.history.messages() if messages is None else messages
        return [Tell(Began(self.turn)), Think(self.turn, asked)]

    def _interrupted(self, now: float, *, playing: bool = True) -> list[Effect]:
        """End what is under way; with ``playing`` also what still plays of a complete answer."""
        effects = self._released()
        if self.under_way():
            heard = self._keep(now)
            effects += [Stop(self.turn), Tell(Interrupted(self.turn, heard))]
        elif self.phase is Phase.HEARING:
            effects += [Stop(self.turn), Tell(Interrupted(self.turn, ""))]
        elif playing and self.playout.playing(now):
            heard = self.playout.heard(now)
            self.history.cut(answer_of(self._answer), heard)
            effects.append(Tell(Interrupted(self._answer, heard)))
        self.playout = Playout(self._lead)
        self.phase = Phase.LISTENING
        return effects

    def _keep(self, now: float) -> str:
        """Add to the history what was heard of the answer under way, and return it."""
        heard = self.playout.heard(now) if self.manners.speaks else self._written
        if heard.strip():
            entry = Entry(answer_of(self.turn), "assistant", heard, interrupted=True)
            self.history.add(entry)
        self.playout = Playout(self._lead)
        return heard

    def _released(self) -> list[Effect]:
        if not self._held:
            return []
        self._held = False
        return [Release()]


def question_of(turn: int) -> str:
    """Return the id of what the user said in a turn."""
    return f"item_{turn}_user"


def answer_of(turn: int) -> str:
    """Return the id of the answer of a turn."""
    return f"item_{turn}_answer"
