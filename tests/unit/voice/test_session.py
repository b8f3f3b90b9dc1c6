"""A session performs what is decided: texts of speech that goes on, and which of them count."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from raw_client import PATIENCE

from utils.clock import LoopClock
from utils.errors import EngineRefused
from voice.activity import FRAME, Endpointer, Pace
from voice.hearing.turn_end import TurnEnd
from voice.history import History
from voice.models import Answer, Spoken
from voice.session import Session
from voice.told import Complete, Partial, Told, Understood
from voice.turns import Manners, Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RATE = 1000
HEAD = 44


class Marked:
    """Takes for speech what has a mark."""

    lag = 0.0

    def is_speech(self, frame: bytes) -> bool:
        return frame[0] != 0


class Clock(LoopClock):
    """A clock that tells the time of the sound so far."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class Transcriber:
    """Hears ``texts``; a text of speech that goes on waits for ``go``, and is None if busy."""

    def __init__(self) -> None:
        self.texts: list[str | None] = []
        self.go = asyncio.Event()
        self.go.set()
        self.partly: list[float] = []
        self.wholly: list[float] = []
        self.cut = 0
        self.ahead: list[str] = []
        self.held = False

    async def hear(self, sound: bytes) -> str:
        self.wholly.append((len(sound) - HEAD) / 2 / RATE)
        return "the whole"

    async def hear_so_far(self, sound: bytes) -> str | None:
        self.partly.append((len(sound) - HEAD) / 2 / RATE)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cut += 1
            raise
        text = self.texts.pop(0)
        if text == "fault":
            raise EngineRefused(text)
        return text

    async def think(
        self, messages: list[dict[str, Any]], said: Callable[[str], Awaitable[None]]
    ) -> Answer:
        await said(f"so {messages[-1]['content']}")
        return Answer()

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False

    async def read_ahead(self, messages: list[dict[str, Any]]) -> None:
        self.ahead.append(messages[-1]["content"])

    async def speak(self, text: str) -> Spoken:
        return Spoken(text.encode(), 0.0)


class Conversation:
    """A session that hears sound in real time."""

    def __init__(self, end: TurnEnd | None = None, **manners: Any) -> None:
        self.engine, self.clock = Transcriber(), Clock()
        ears = Endpointer(RATE, Marked(), Pace())
        turns = Turns(History(), Manners(speaks=False, **manners))
        self.session = Session(
            turns, self.engine, ears, RATE, self.clock, partials=True, turn_end=end
        )

    async def hears(self, kind: str, seconds: float) -> None:
        frame = (b"\1\0" if kind == "s" else b"\0\0") * int(RATE * FRAME)
        for _ in range(round(seconds / FRAME)):
            self.clock.time += FRAME
            self.session.listen(frame)
            await self.settle()

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)

    async def told(self, last: type[Told] = Complete) -> list[Told]:
        found: list[Told] = []
        while not found or not isinstance(found[-1], last):
            found.append(await asyncio.wait_for(self.session.outbox.take(), PATIENCE))
        return found


def texts(told: list[Told]) -> list[str]:
    return [each.text for each in told if isinstance(each, Partial | Understood)]


async def test_the_text_of_the_silence_is_that_of_the_turn() -> None:
    it = Conversation()
    it.engine.texts = ["turn on", "turn on the light"]
    await it.hears("s", 1.2)
    await it.hears(".", 0.6)
    told = await it.told()
    assert texts(told) == ["turn on", "turn on the light", "turn on the light"]
    # It was there before the turn had ended, and nothing was heard twice.
    assert it.engine.wholly == []
    assert isinstance(told[-1], Complete)
    assert (told[-1].timings.understood, told[-1].timings.heard) == (0, 500)
    # What was known of the question was read, and then the question itself.
    assert it.engine.ahead == ["", "turn on", "turn on the light"]


async def test_engines_are_held_from_the_first_word_to_the_last() -> None:
    it = Conversation()
    it.engine.texts = ["turn on", "turn on"]
    assert not it.engine.held
    await it.hears("s", 0.5)
    assert it.engine.held
    await it.hears(".", 0.6)
    assert isinstance((await it.told())[-1], Complete)
    await it.settle()
    assert not it.engine.held
    # Nothing came of this one.
    await it.hears("s", 0.5)
    it.session.clear()
    assert not it.engine.held


async def test_a_text_that_is_not_ready_is_awaited_and_one_without_all_is_cut() -> None:
    it = Conversation()
    it.engine.go.clear()
    await it.hears("s", 1.2)
    await it.hears(".", 0.6)
    assert (len(it.engine.partly), it.engine.cut) == (2, 1)
    it.engine.texts = ["turn on the light"]
    it.engine.go.set()
    assert texts(await it.told()) == ["turn on the light"]
    assert it.engine.wholly == []


async def test_speech_after_the_silence_is_heard_as_a_whole() -> None:
    it = Conversation()
    it.engine.texts = ["turn on", "turn on the", None, "fault", "fault"]
    await it.hears("s", 0.5)
    await it.hears(".", 0.3)
    await it.hears("s", 1.5)
    await it.hears(".", 0.6)
    # No text was to be had of the last silence.
    assert texts(await it.told())[-1] == "the whole"
    assert len(it.engine.wholly) == 1


async def test_what_goes_on_has_what_was_before_it() -> None:
    it = Conversation()
    it.engine.texts = ["one", "one two", "one two"]
    hear = it.engine.hear
    never = asyncio.Event()

    async def slow(sound: bytes) -> str:
        await hear(sound)
        await never.wait()
        return ""

    it.engine.hear = slow  # type: ignore[method-assign]  # this turn alone is slow
    await it.hears("s", 0.22)
    it.session.ask()
    await it.settle()
    assert len(it.engine.wholly) == 1
    it.engine.hear = hear  # type: ignore[method-assign]  # as before
    await it.hears("s", 0.5)
    await it.hears(".", 0.6)
    assert texts(await it.told())[-1] in {"one", "one two"}
    assert it.engine.partly[-1] > 0.9
    assert len(it.engine.wholly) == 1


class Guess(TurnEnd):
    """Guesses that what was said is as complete as this."""

    def __init__(self, sure: float) -> None:
        self.sure = sure
        self.asked = 0

    def likely(self, samples: bytes, rate: int) -> float:
        assert len(samples) > rate
        self.asked += 1
        if self.sure > 1:
            raise RuntimeError("another model")
        return self.sure


@pytest.mark.parametrize(("sure", "silence"), [(0.9, 300), (0.1, 500), (2.0, 500)])
async def test_the_silence_is_short_after_what_sounds_complete(sure: float, silence: int) -> None:
    it = Conversation(Guess(sure))
    it.engine.texts = ["yes"]
    await it.hears("s", 0.6)
    await it.hears(".", 0.24)
    # The model runs in a thread.
    guessing = [each for each in asyncio.all_tasks() if "guess" in each.get_name()]
    if guessing:
        await asyncio.wait(guessing)
    await it.hears(".", 0.4)
    complete = (await it.told())[-1]
    assert isinstance(complete, Complete)
    assert complete.timings.heard == silence


async def test_words_that_end_in_the_middle_wait_for_the_rest() -> None:
    it = Conversation()
    it.engine.texts = ["milk and", "milk and eggs.", "milk and eggs."]
    await it.hears("s", 0.6)
    await it.hears(".", 0.7)
    assert it.session.turns.turn == 0
    await it.hears("s", 0.6)
    await it.hears(".", 0.5)
    complete = (await it.told())[-1]
    assert isinstance(complete, Complete)
    assert (complete.asked, complete.timings.heard) == ("milk and eggs.", 500)


async def test_much_sound_at_once_lets_others_go_on() -> None:
    it = Conversation()
    frame, silence = b"\1\0" * int(RATE * FRAME), b"\0\0" * RATE
    it.session.listen(frame * 200 + silence)
    # The speech has not ended for it yet.
    assert it.session.has_sound
    assert it.session.turns.turn == 0
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await it.session.listened()
    task.cancel()
    assert others > 1
    assert it.session.turns.turn == 1
    it.session.listen(frame * 200 + silence)
    it.session.listen_now()
    assert it.session.turns.turn == 2
    await it.session.close()


async def test_while_an_answer_is_given_nothing_is_heard() -> None:
    it = Conversation(interrupts=False)
    it.session.turns.asked(0.0, "hello")
    await it.hears("s", 2.0)
    await it.hears(".", 0.6)
    assert it.engine.partly == it.engine.wholly == []


async def test_the_end_of_the_session_ends_it() -> None:
    it = Conversation()
    it.engine.go.clear()
    await it.hears("s", 1.2)
    it.session.clear()
    await it.settle()
    assert it.engine.cut == 1
    await it.hears("s", 1.2)
    await it.session.close()
    assert it.engine.cut == 2


async def test_ten_minutes_of_silence_leave_nothing_and_cost_no_turn() -> None:
    talk = Conversation()
    second = b"\0\0" * RATE
    for _ in range(600):
        talk.clock.time += 1.0
        talk.session.listen(second)
        # What may belong to the beginning of speech stays.
        assert talk.session._ears.seconds < 1
    await talk.settle()
    assert (talk.engine.wholly, talk.engine.partly, talk.engine.ahead) == ([], [], [])
    assert not talk.session._tasks
    # Then somebody speaks.
    talk.engine.texts = [None] * 9
    await talk.hears("s", 0.6)
    await talk.hears(".", 0.8)
    [heard] = talk.engine.wholly
    assert heard < 2
    await talk.session.close()
