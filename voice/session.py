"""``Session``: one conversation. It performs what ``Turns`` decides.

Hearing, thinking and speaking are tasks of their own, and what the client sends is taken in while
they run: so an answer can be interrupted at any time. A session at rest has no task and no engine.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.sound.wav import wav_head
from utils.errors import BadRequest, GatewayError
from utils.logger import get_logger
from utils.tasks import TaskOwner
from voice.activity import SAMPLE, Heard
from voice.ahead import ReadAhead
from voice.clauses import Clauses, speakable
from voice.hearing.partial import PAUSE, Partials
from voice.hearing.turn_end import LIKELY
from voice.hearing.unfinished import is_unfinished
from voice.outbox import Outbox
from voice.told import Complete, Interrupted, Problem, Speech, Text, Understood
from voice.turns import Hear, Hold, Release, Stop, Tell, Think
from voice.work import Work

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from utils.clock import Clock
    from voice.activity import Endpointer
    from voice.hearing.spotter import Spotter
    from voice.hearing.turn_end import TurnEnd
    from voice.models import Models
    from voice.told import Reply
    from voice.turns import Effect, Turns

_log = get_logger("voice")
# Clauses that wait for the voice; then the model waits.
_CLAUSES = 8
# Seconds between two looks whether speech may be sent: an interruption is not kept waiting by it.
_LOOK = 0.05
# Seconds of sound that are listened to without a pause for others; it takes some milliseconds each.
_AT_ONCE = 2.0
# Less sound than this, in seconds, is nothing to hear.
_LEAST = 0.1
# Bytes of a turn in a sound file, or of one that goes on and on.
_LARGEST = 8 * 1024 * 1024


class Session:
    """``outbox`` has what the client is to be told.

    ``ears`` find the turns in samples at ``rate`` a second; without ``detects`` a turn ends at the
    client's word alone. With ``partials``, speech is made a text already while it goes on. With a
    ``spotter``, only turns with a wake word in their sound are heard. ``turn_end`` guesses whether
    a turn is complete.
    """

    def __init__(
        self,
        turns: Turns,
        models: Models,
        ears: Endpointer,
        rate: int,
        clock: Clock,
        *,
        detects: bool = True,
        partials: bool = False,
        spotter: Spotter | None = None,
        turn_end: TurnEnd | None = None,
    ) -> None:
        self.turns = turns
        self.outbox = Outbox()
        self.detects = detects
        self._models = models
        self._ears = ears
        self._rate = rate
        self._clock = clock
        self._tasks = TaskOwner("voice")
        self._job: asyncio.Task[None] | None = None
        self._ahead = ReadAhead(models, self._tasks)
        self._work = Work(0, 0.0)
        self._free = asyncio.Event()
        self._free.set()
        # The samples, and the sound file, of the turn that comes; the samples of the last one.
        self._samples = bytearray()
        self._file = bytearray()
        self._before = b""
        # Samples that were not listened to yet.
        self._backlog = bytearray()
        self._spotter = spotter
        self._turn_end = turn_end
        # The speech about which it was asked.
        self._guessed = 0
        self._partials = Partials() if partials else None
        # Makes a text of the speech so far; it may be the final one.
        self._partial: asyncio.Task[str | None] | None = None
        self._closed = False

    def configure(self, ears: Endpointer, *, detects: bool) -> None:
        """Listen in another way from now on; sound that belongs to no turn yet is forgotten."""
        self._ears = ears
        self.detects = detects
        self.clear()

    # -- what the client sends -------------------------------------------------------

    def listen(self, samples: bytes) -> None:
        """Take in samples; a turn that they end begins."""
        if not self.detects:
            self._append(self._samples, samples)
            return
        self._backlog += samples
        self._listen_on()

    async def listened(self) -> None:
        """Return when all samples were listened to; of many at once, others get their turns."""
        while self._backlog:
            await asyncio.sleep(0)
            self._listen_on()

    def listen_now(self) -> None:
        """Listen to all samples at once: what comes next needs to know what they say."""
        while self._backlog:
            self._listen_on()

    def _listen_on(self) -> None:
        size = int(_AT_ONCE * self._rate) * SAMPLE
        more = bytes(self._backlog[:size])
        del self._backlog[:size]
        if self._spotter is not None:
            self._spotter.feed(more)
        while heard := self._ears.feed(more):
            more = b""
            for each in heard:
                self._take(each)
            if Heard.ENDED not in heard:
                break
        self._guess_end()
        self._hear_so_far()

    async def hear_on(self, samples: bytes) -> None:
        """Take in samples that were decoded; return once they were listened to."""
        if not self._closed:
            self.listen(samples)
            await self.listened()
            await self.outbox.room()

    def fail_sound(self, error: GatewayError) -> None:
        """Forget the sound that belongs to no turn yet, as it cannot be read on."""
        if self._ears.speaking:
            self._run(self.turns.dropped())
        self.clear()
        self.tell(Problem(0, error))

    def add_file(self, piece: bytes) -> None:
        """Take in a piece of a sound file, which is heard once the turn has ended."""
        self._append(self._file, piece)

    def ask(self, text: str | None = None, *, answer: bool = True) -> None:
        """End the turn: with its ``text``, or with the sound so far if it is None."""
        if text is None and not self.has_sound:
            self.tell(Problem(0, BadRequest("There is no sound, and no text, to answer to.")))
            return
        self._run(self.turns.asked(self._now(), text, answer=answer))
        if text is not None:
            self.clear()

    def answer(self, messages: list[dict[str, Any]] | None = None) -> None:
        """Answer to ``messages``, or to what was said so far."""
        self._run(self.turns.answered(self._now(), messages))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Do work beside the turns, at most until the session ends."""
        return self._tasks.spawn(work, name)

    def interrupt(self) -> None:
        """End the answer, and what still plays of it."""
        self._run(self.turns.interrupt(self._now()))

    def clear(self) -> None:
        """Forget the sound that belongs to no turn yet."""
        self._forget_partial()
        self._backlog.clear()
        self._ears.clear()
        self._samples.clear()
        self._file.clear()
        self._rest()

    def expect(self, said: str = "") -> None:
        """Take in that a turn comes, and how it begins: the model reads that ahead."""
        self._ahead.begin(self.turns.coming(said))

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound that belongs to no turn yet."""
        seconds = self._ears.seconds + len(self._samples) / (self._rate * SAMPLE)
        return bool(self._file) or seconds >= _LEAST

    def tell(self, told: Problem | Reply) -> None:
        """Tell the client something that no turn has brought about."""
        self.outbox.put(told)

    def unheard(self) -> float:
        """Return how many seconds of an answer are still to be played."""
        return max(0.0, self.turns.playout.end - self._now())

    async def close(self) -> None:
        """End all work; return once it has ended. What is still decoded is not listened to."""
        self._closed = True
        self._backlog.clear()
        await self._tasks.cancel()
        self._models.release()

    # -- what is decided -------------------------------------------------------------

    def _take(self, heard: Heard) -> None:
        now, turns = self._now(), self.turns
        if heard is Heard.BEGAN:
            self._forget_partial()
            self._run(turns.began(now))
        elif heard is Heard.SURE:
            self._models.hold()
            self._run(turns.sure(now))
            self.expect()
        elif heard is Heard.DROPPED:
            self._run(turns.dropped())
            self._rest()
        else:
            effects = turns.ended(now)
            self._run(effects)
            if not any(isinstance(each, Hear) for each in effects):
                self._forget_partial()
                self._ears.take()
                self._rest()

    def _run(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Tell):
                self._tell(effect)
            elif isinstance(effect, Hold):
                self._free.clear()
            elif isinstance(effect, Release):
                self._free.set()
            elif isinstance(effect, Stop):
                self._stop(effect.turn)
            elif isinstance(effect, Hear):
                silent = self._ears.silent if self._ears.speaking and not self._file else None
                self._work = Work(effect.turn, self._now(), silent)
                if not (effect.more or self._is_called()):
                    self._forget_partial()
                    self._sound(more=False)
                    self._before = b""
                    self._run(self.turns.uncalled(effect.turn))
                    continue
                known = self._known()
                sound = self._sound(more=effect.more)
                self._start(effect.turn, self._hear(effect.turn, sound, known), "hear")
            elif isinstance(effect, Think):
                if self._work.turn != effect.turn:
                    self._work = Work(effect.turn, self._now())
                self._work.answering = True
                self._start(effect.turn, self._answer(effect, self._work), "answer")

    def _tell(self, effect: Tell) -> None:
        told, work = effect.told, self._work
        if isinstance(told, Understood):
            if work.turn != told.turn:
                work = self._work = Work(told.turn, self._now())
            work.asked, work.understood = told.text, self._now()
        self.outbox.put(told)
        if isinstance(told, Interrupted):
            self.outbox.silence(told.turn)
            if work.answering and work.turn == told.turn:
                work.answering = False
                self.outbox.put(work.interrupted(told.heard, self._now()))

    def _stop(self, turn: int) -> None:
        self._free.set()
        self.outbox.silence(turn)
        if self._job is not None:
            self._job.cancel()
            self._job = None

    def _rest(self) -> None:
        """Hold no engines if nobody speaks, and no turn is worked for."""
        job = self._job
        idle = job is None or job.done() or job is asyncio.current_task()
        if idle and not self._ears.speaking:
            self._models.release()

    def _start(self, turn: int, work: Coroutine[Any, Any, None], name: str) -> None:
        self._models.hold()
        self._job = self._tasks.spawn(self._guarded(turn, work), name)
        # The next turn may stop it before it has begun.
        self._job.add_done_callback(lambda _: work.close())

    def _sound(self, *, more: bool) -> bytes:
        """Return the sound of the turn as a file; with ``more``, after that of the turn before."""
        if self._file:
            sound = bytes(self._file)
            self.clear()
            return sound
        samples = self._ears.take() if self.detects else bytes(self._samples)
        self._samples.clear()
        if more:
            samples = (self._before + samples)[-_LARGEST:]
        self._before = samples
        return wav_head(self._rate, len(samples)) + samples

    def _append(self, to: bytearray, more: bytes) -> None:
        if len(to) + len(more) > _LARGEST:
            to.clear()
            fault = f"The sound of a turn has at most {_LARGEST} bytes; what came is forgotten."
            self.tell(Problem(0, BadRequest(fault, param="audio")))
            return
        if not to:
            self.expect()
        to += more

    # -- the work --------------------------------------------------------------------

    async def _guarded(self, turn: int, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except GatewayError as error:
            self._failed(turn, error)
        except Exception:
            self._failed(turn, GatewayError("The gateway failed; its log says why."))
            raise
        finally:
            self._rest()

    def _failed(self, turn: int, error: GatewayError) -> None:
        if self.turns.failed(turn, self._now()):
            self._free.set()
            self._work.answering = False
            self.outbox.silence(turn)
            self.outbox.put(Problem(turn, error))

    def _guess_end(self) -> None:
        """Ask once in a silence whether what was said sounds complete."""
        ears, model = self._ears, self._turn_end
        asked = ears.mark == self._guessed
        if model is not None and not asked and ears.counts and ears.silent >= PAUSE:
            self._guessed = ears.mark
            samples = ears.so_far()
            self._tasks.spawn(self._guess(model, ears, ears.mark, samples), "guess the end")

    async def _guess(self, model: TurnEnd, ears: Endpointer, mark: int, samples: bytes) -> None:
        try:
            likely = await asyncio.to_thread(model.likely, samples, self._rate)
        except RuntimeError as error:
            _log.warning("the model of turn ends fails, and is not asked any more: %s", error)
            self._turn_end = None
        else:
            if likely >= LIKELY:
                ears.sounds_complete(mark)

    def _hear_so_far(self) -> None:
        """Begin to make a text of the speech so far, if it is time."""
        ears, turns, partials, now = self._ears, self.turns, self._partials, self._now()
        if partials is None or not ears.counts or not turns.expects(now):
            return
        if not (turns.goes_on() or self._is_called()):
            return
        if partials.is_due(ears.mark, ears.silent, now):
            before = self._partial
            if before is not None:
                before.cancel()
            partials.begin(ears.mark, now)
            samples = ears.so_far()
            if turns.goes_on():
                samples = (self._before + samples)[-_LARGEST:]
            sound = wav_head(self._rate, len(samples)) + samples
            work = self._understand_so_far(turns.turn + 1, sound, partials, before, ears.mark)
            self._partial = self._tasks.spawn(work, "hear so far")

    async def _understand_so_far(
        self,
        turn: int,
        sound: bytes,
        partials: Partials,
        before: asyncio.Task[str | None] | None,
        mark: int,
    ) -> str | None:
        text = None
        if before is not None:
            # Its engine is free only once it has ended.
            await asyncio.wait([before])
        try:
            text = await self._models.hear_so_far(sound)
        except GatewayError as error:
            _log.debug("the speech so far was not understood: %s", error.message)
        if self._partial is asyncio.current_task():
            partials.ended(self._now(), known=text is not None)
            if is_unfinished(text or ""):
                self._ears.reads_unfinished(mark)
            self._run(self.turns.understood_so_far(turn, text or ""))
            self.expect(text or "")
        return text

    def _is_called(self) -> bool:
        """Return whether the sound so far is to be heard: it has a wake word, or needs none."""
        spotter, ears = self._spotter, self._ears
        if spotter is None or self._file or not self.detects:
            return True
        return spotter.has_found(ears.start, ears.end)

    def _known(self) -> asyncio.Task[str | None] | None:
        """Return what makes, or has made, a text of all speech of the turn that ends now."""
        found = None
        if self._partials is not None and not self._file and self._partials.covers(self._ears.mark):
            found, self._partial = self._partial, None
        self._forget_partial()
        return found

    def _forget_partial(self) -> None:
        if self._partials is not None:
            self._partials.reset(self._now())
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None

    async def _hear(self, turn: int, sound: bytes, known: asyncio.Task[str | None] | None) -> None:
        text = None if known is None else await known
        if text is None:
            text = await self._models.hear(sound)
        self._before = b""
        # Without a wake word in its sound, it would not be heard.
        self._run(self.turns.understood(turn, text, called=self._spotter is not None))

    async def _answer(self, think: Think, work: Work) -> None:
        turn = think.turn
        await self._ahead.stop()
        speaker = _Speaker(self, turn) if self.turns.manners.speaks else None
        speaking = self._tasks.spawn(speaker.run(), "speak") if speaker is not None else None

        async def said(piece: str) -> None:
            work.wrote(piece, self._now())
            self.turns.wrote(turn, piece)
            self.outbox.put(Text(turn, piece))
            await self.outbox.room()
            if speaker is not None:
                await speaker.feed(piece)

        try:
            answer = await self._models.think(think.messages, said)
            if speaker is not None and speaking is not None:
                await speaker.finish()
                await speaking
                speaker.check()
        finally:
            if speaking is not None:
                speaking.cancel()
        if self.turns.complete(turn, work.text, answer.calls):
            work.answering = False
            told = Complete(
                turn,
                work.asked,
                work.text,
                calls=answer.calls,
                usage=answer.usage,
                timings=work.timings(self._now()),
            )
            self.outbox.put(told)

    async def speak(self, turn: int, clause: str) -> None:
        """Make speech of a clause of the turn's answer, and send it when it is its time."""
        text, work = speakable(clause), self._work
        if work.turn == turn and work.first_clause is None:
            work.first_clause = self._now()
        made = await self._models.speak(text) if text else None
        while wait := self._wait():
            await wait
        seconds = 0.0 if made is None else made.seconds
        if not self.turns.sent(turn, clause, seconds, self._now()) or made is None:
            return
        if self._work.first_audio is None:
            self._work.first_audio = self._now()
        self.outbox.put(Speech(turn, made.sound, clause, made.seconds))
        await self.outbox.room()

    def _wait(self) -> Coroutine[Any, Any, Any] | None:
        """Return what to await before speech may be sent; None if it may be sent now."""
        if not self._free.is_set():
            return self._free.wait()
        ahead = self.turns.playout.wait(self._now())
        return self._clock.sleep(min(ahead, _LOOK)) if ahead > 0 else None

    def _now(self) -> float:
        return self._clock.now()


class _Speaker:
    """Speaks the clauses of one answer, one after the other, while the model writes on."""

    def __init__(self, session: Session, turn: int) -> None:
        self._session = session
        self._turn = turn
        self._clauses = Clauses()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(_CLAUSES)
        self._fault: GatewayError | None = None

    async def feed(self, piece: str) -> None:
        """Take the next piece of the answer; raise the GatewayError of the voice, if it failed."""
        for clause in self._clauses.feed(piece):
            self.check()
            await self._queue.put(clause)

    async def finish(self) -> None:
        """Take the end of the answer."""
        if rest := self._clauses.rest():
            await self._queue.put(rest)
        await self._queue.put(None)

    def check(self) -> None:
        """Raise the GatewayError of the voice, if it failed."""
        if self._fault is not None:
            raise self._fault

    async def run(self) -> None:
        """Speak until the end. After a failure take the rest, so that nobody waits for room."""
        while (clause := await self._queue.get()) is not None:
            if self._fault is not None:
                continue
            try:
                await self._session.speak(self._turn, clause)
            except GatewayError as error:
                self._fault = error
            except Exception:  # noqa: BLE001 - the outermost boundary of this task
                self._fault = GatewayError("The gateway failed to speak; its log says why.")
                _log.exception("an answer could not be spoken")
