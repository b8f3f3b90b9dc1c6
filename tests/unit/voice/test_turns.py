"""Whose turn it is: each rule, and any order of events."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from voice.history import INTERRUPTED, History, ToolCall
from voice.told import (
    Began,
    Interrupted,
    NotCalled,
    Partial,
    SpeechStarted,
    SpeechStopped,
    Told,
    Understood,
)
from voice.turns import (
    Effect,
    Hear,
    Hold,
    Manners,
    Phase,
    Release,
    Stop,
    Tell,
    Think,
    Turns,
    answer_of,
)
from voice.wake import WakeWords

if TYPE_CHECKING:
    from collections.abc import Iterable


def session(**manners: object) -> Turns:
    return Turns(History(), Manners(**manners))  # type: ignore[arg-type]  # as each test names them


def tells(effects: Iterable[Effect]) -> list[Told]:
    return [each.told for each in effects if isinstance(each, Tell)]


def works(effects: Iterable[Effect]) -> list[Effect]:
    return [each for each in effects if not isinstance(each, Tell)]


def said(turns: Turns) -> list[str]:
    return [message["content"] for message in turns.history.messages()]


def speaking(text: str = "hello", **manners: object) -> Turns:
    """Return a session that speaks the first clause of its answer, for two seconds from 10 on."""
    turns = session(**manners)
    turns.asked(10.0, text)
    turns.wrote(1, "One two three, four.")
    assert turns.sent(1, "One two three, ", 2.0, 10.0)
    return turns


def test_a_turn_by_voice() -> None:
    turns = session()
    assert turns.began(0.0) == [Tell(SpeechStarted(1))]
    assert turns.sure(0.3) == []
    assert turns.ended(2.0) == [Tell(SpeechStopped(1)), Hear(1)]
    question = [{"role": "user", "content": "hello"}]
    expected = [Tell(Understood(1, "hello")), Tell(Began(1)), Think(1, question)]
    assert turns.understood(1, " hello ") == expected
    assert turns.sent(1, "Hi. ", 1.0, 3.0)
    assert turns.phase is Phase.SPEAKING
    assert turns.complete(1, "Hi. ")
    assert (turns.phase, said(turns)) == (Phase.LISTENING, ["hello", "Hi. "])


def test_speech_that_goes_on_has_texts_before_it_is_a_turn() -> None:
    turns = session()
    turns.began(0.0)
    assert turns.understood_so_far(1, " hel ") == [Tell(Partial(1, "hel"))]
    assert turns.understood_so_far(1, " ") == []
    turns.ended(2.0)
    # It comes late: the turn is heard as a whole.
    assert turns.understood_so_far(1, "hello") == []
    turns.understood(1, "hello")
    assert turns.understood_so_far(1, "hello") == []
    # While an answer is to be heard, nothing that is said is a turn yet.
    assert not turns.expects(2.1)
    turns.sent(1, "Hi.", 1.0, 3.0)
    turns.complete(1, "Hi.")
    assert (turns.expects(3.9), turns.expects(4.0)) == (False, True)


def test_nothing_understood_is_no_turn() -> None:
    turns = session()
    turns.ended(0.0)
    assert turns.understood(1, "  ") == [Tell(Understood(1, ""))]
    assert (turns.phase, said(turns)) == (Phase.LISTENING, [])


def test_what_the_model_will_be_asked_is_known_before_the_turn_ends() -> None:
    turns = session()
    assert turns.coming() == [{"role": "user", "content": ""}]
    turns.asked(0.0, "hello")
    # Nobody knows yet how much of the answer will be heard.
    assert turns.coming("what") is None
    turns.complete(1, "Hi.")
    expected = [("user", "hello"), ("assistant", "Hi."), ("user", "what")]
    coming = turns.coming("what")
    assert coming is not None
    assert [(each["role"], each["content"]) for each in coming] == expected
    assert said(turns) == ["hello", "Hi."]
    called = session(wake=WakeWords(("computer",)))
    assert called.coming("computer turn on") == [{"role": "user", "content": "turn on"}]
    assert called.coming("turn on") == [{"role": "user", "content": ""}]


def test_wake_words() -> None:
    turns = session(wake=WakeWords(("computer",)))
    assert tells(turns.asked(0.0, "hello"))[-1] == NotCalled(1, called=False)
    assert tells(turns.asked(0.0, "computer"))[-1] == NotCalled(2, called=True)
    assert said(turns) == []
    assert works(turns.asked(0.0, "Computer, stop"))[-1] == Think(
        3, [{"role": "user", "content": "stop"}]
    )


def test_a_wake_word_in_the_sound() -> None:
    turns = session(wake=WakeWords(("hey jarvis",)))
    turns.ended(0.0)
    assert turns.uncalled(1) == [Tell(NotCalled(1, called=False))]
    assert turns.uncalled(1) == []
    turns.ended(1.0)
    # The transcript need not have it as it is written.
    effects = turns.understood(2, "Hey Javis, turn on the light.", called=True)
    assert works(effects) == [Think(2, [{"role": "user", "content": "turn on the light"}])]


def test_speech_interrupts_and_a_cough_does_not() -> None:
    turns = speaking()
    assert works(turns.began(10.5)) == [Hold()]
    assert turns.dropped() == [Tell(SpeechStopped(0)), Release()]
    turns.began(10.6)
    # Too short to be sure of.
    assert turns.ended(10.8) == [Tell(SpeechStopped(0)), Release()]
    turns.began(11.0)
    effects = turns.sure(11.5)
    assert effects == [Release(), Stop(1), Tell(Interrupted(1, "One two"))]
    assert said(turns) == ["hello", "One two" + INTERRUPTED]
    # What comes late changes nothing.
    assert not turns.sent(1, "four.", 1.0, 12.0)
    assert not turns.complete(1, "One two three, four.")
    assert not turns.failed(1, 12.0)
    assert works(turns.ended(12.0)) == [Hear(2)]


def test_where_speech_must_not_interrupt_it_is_left_out() -> None:
    turns = speaking(interrupts=False)
    assert tells(turns.began(10.5)) == [SpeechStarted(2)]
    assert turns.sure(11.0) == []
    assert turns.ended(11.5) == [Tell(SpeechStopped(0))]
    turns.complete(1, "One two three, ")
    assert turns.ended(11.6) == [Tell(SpeechStopped(0))]
    assert works(turns.ended(12.5)) == [Hear(2)]
    # A message always may.
    assert works(turns.interrupt(12.6)) == [Stop(2)]


def test_an_answer_that_still_plays_is_cut_to_what_was_heard() -> None:
    turns = speaking()
    assert turns.complete(1, "One two three, ")
    assert tells(turns.interrupt(11.0)) == [Interrupted(1, "One two")]
    assert said(turns) == ["hello", "One two" + INTERRUPTED]
    assert turns.interrupt(11.1) == []
    # A message that does not say so breaks in on nothing.
    turns = speaking()
    assert turns.complete(1, "One two three, ")
    assert not [each for each in tells(turns.asked(11.0, "and")) if isinstance(each, Interrupted)]
    assert said(turns) == ["hello", "One two three, ", "and"]


def test_an_answer_of_which_nothing_was_heard_was_never_said() -> None:
    turns = session()
    turns.asked(0.0, "hello")
    turns.wrote(1, "One two")
    assert works(turns.asked(0.1, "are you there"))[:1] == [Stop(1)]
    assert said(turns) == ["hello\nare you there"]


def test_without_a_voice_what_is_written_is_heard() -> None:
    turns = session(speaks=False)
    turns.asked(0.0, "hello")
    turns.wrote(1, "One two")
    assert tells(turns.interrupt(0.1)) == [Interrupted(1, "One two")]
    assert said(turns)[-1] == "One two" + INTERRUPTED


def test_speech_that_goes_on_is_heard_with_what_was_before() -> None:
    turns = session()
    turns.ended(1.0)
    turns.began(1.1)
    assert works(turns.sure(1.4)) == [Stop(1)]
    assert works(turns.ended(2.0)) == [Hear(2, more=True)]
    assert works(turns.ended(2.1)) == [Stop(2), Hear(3, more=True)]
    turns.interrupt(2.2)
    assert works(turns.ended(3.0)) == [Hear(4)]


def test_answers_that_are_asked_for() -> None:
    turns = session(answers=False)
    turns.ended(0.0)
    assert works(turns.understood(1, "hello")) == []
    assert works(turns.answered(0.1)) == [Think(2, [{"role": "user", "content": "hello"}])]
    turns.complete(2, "", (ToolCall("c", "clock", "{}"),))
    assert turns.history.find(answer_of(2)) is not None
    # While the turn is heard, the answer waits for that.
    turns.ended(1.0)
    assert turns.answered(1.1) == []
    assert isinstance(works(turns.understood(3, "and now"))[-1], Think)
    assert works(turns.asked(2.0, "no answer", answer=False)) == [Stop(3)]


def test_a_failure_keeps_what_was_heard() -> None:
    turns = speaking()
    assert turns.failed(1, 11.5)
    assert (turns.phase, said(turns)[-1]) == (Phase.LISTENING, "One two" + INTERRUPTED)
    turns.ended(20.0)
    assert turns.failed(2, 20.1)
    assert not turns.failed(2, 20.2)


WORDS = "one two three four five six "
EVENTS = (
    "began sure dropped over asked heard answered interrupt partly understood uncalled late wrote"
    " sent complete failed wait"
).split()


class Model:
    """Performs events in any order, and checks that the session stays consistent."""

    def __init__(self, manners: Manners) -> None:
        self.turns = Turns(History(length=1000), manners)
        self.now = 0.0
        # The work under way, as the effects say.
        self.work: Effect | None = None
        self.written: dict[int, str] = {}
        self.ended: set[int] = set()
        self.held = False
        # The last turn that was understood as a whole.
        self.whole = 0

    def take(self, effects: list[Effect]) -> None:
        for told in tells(effects):
            if isinstance(told, Understood):
                assert told.turn > self.whole
                self.whole = told.turn
            assert not isinstance(told, Partial) or told.turn > self.whole
        for effect in effects:
            if isinstance(effect, Hear | Think):
                assert self.work is None, "two turns at once"
                assert effect.turn == self.turns.turn
                assert effect.turn not in self.ended
                self.work = effect
            elif isinstance(effect, Stop):
                assert self.work is not None
                assert effect.turn == self.work.turn  # type: ignore[union-attr]  # it is a turn's
                self.done()
            elif isinstance(effect, Hold):
                self.held = True
            elif isinstance(effect, Release):
                assert self.held
                self.held = False

    def done(self) -> None:
        if isinstance(self.work, Think):
            self.ended.add(self.work.turn)
        self.work = None

    def began(self) -> None:
        self.take(self.turns.began(self.now))

    def sure(self) -> None:
        self.take(self.turns.sure(self.now))

    def dropped(self) -> None:
        self.take(self.turns.dropped())

    def over(self) -> None:
        self.take(self.turns.ended(self.now))

    def asked(self) -> None:
        self.take(self.turns.asked(self.now, f"question {self.turns.turn}"))

    def heard(self) -> None:
        self.take(self.turns.asked(self.now))

    def answered(self) -> None:
        self.take(self.turns.answered(self.now))

    def interrupt(self) -> None:
        self.take(self.turns.interrupt(self.now))

    def partly(self) -> None:
        work = self.work
        effects = self.turns.understood_so_far(self.turns.turn + 1, "speech so far")
        # It is told, and changes nothing; of a turn that is under way there are none.
        assert len(tells(effects)) == len(effects) == (work is None)
        self.take(effects)
        assert self.turns.understood_so_far(self.turns.turn, "late") == []

    def understood(self) -> None:
        if isinstance(self.work, Hear):
            self.work = None
        self.take(self.turns.understood(self.turns.turn, "understood"))

    def uncalled(self) -> None:
        if isinstance(self.work, Hear):
            self.work = None
        self.take(self.turns.uncalled(self.turns.turn))

    def late(self) -> None:
        before = self.turns.turn - 1
        assert self.turns.understood(before, "late") == []
        assert self.turns.uncalled(before) == []
        assert not self.turns.sent(before, "late", 1.0, self.now)
        assert not self.turns.complete(before, "late")
        assert not self.turns.failed(before, self.now)

    def wrote(self) -> None:
        if self.turns.under_way():
            self.write()
            self.turns.wrote(self.turns.turn, WORDS)

    def sent(self) -> None:
        wanted = self.turns.sent(self.turns.turn, WORDS, 2.0, self.now)
        if wanted and self.turns.manners.speaks:
            self.write()

    def write(self) -> None:
        turn = self.turns.turn
        self.written[turn] = self.written.get(turn, "") + WORDS

    def complete(self) -> None:
        turn = self.turns.turn
        if self.turns.complete(turn, self.written.get(turn, "")):
            self.done()

    def failed(self) -> None:
        if self.turns.failed(self.turns.turn, self.now):
            self.done()
            self.held = False

    def wait(self) -> None:
        self.now += 0.7

    def check(self) -> None:
        turns = self.turns
        phase = {Hear: (Phase.HEARING,), Think: (Phase.THINKING, Phase.SPEAKING)}
        assert turns.phase in (phase[type(self.work)] if self.work else (Phase.LISTENING,))
        roles = [message["role"] for message in turns.history.messages()]
        assert all(one != other for one, other in pairwise(roles))
        ids = [entry.id for entry in turns.history]
        assert len(set(ids)) == len(ids)
        for entry in turns.history:
            if entry.role == "assistant":
                number = int(entry.id.split("_")[1])
                assert number in self.ended
                assert self.written[number].startswith(entry.text)
                assert entry.interrupted or entry.text == self.written[number]


@given(
    st.lists(st.sampled_from(EVENTS), max_size=40),
    st.builds(Manners, st.booleans(), st.booleans(), st.booleans()),
)
def test_any_order_of_events_leaves_a_consistent_history(
    events: list[str], manners: Manners
) -> None:
    model = Model(manners)
    for event in events:
        getattr(model, event)()
        model.check()
