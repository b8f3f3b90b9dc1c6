"""``RealtimeTalk``: what the events of a client of OpenAI's Realtime API do. Pure."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import orjson

from utils.errors import BadRequest, GatewayError
from voice.activity import SAMPLE, Endpointer, Loudness
from voice.fields import Fields
from voice.history import Entry, History
from voice.realtime.conversation import Conversation
from voice.realtime.idle import Idle
from voice.realtime.items import Item, item_of
from voice.realtime.options import PCM, updated
from voice.realtime.out_of_band import OutOfBand
from voice.realtime.response import ResponseEvents
from voice.realtime.sound import data_of, samples_of
from voice.sound import SPOKEN
from voice.told import Began, Complete, Interrupted, Problem, Reply, SpeechStarted, Understood
from voice.turns import Phase, question_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from utils.clock import Clock
    from voice.activity import Detector
    from voice.live.options import LiveOptions
    from voice.models import Models
    from voice.realtime.events import Events, Json
    from voice.realtime.options import RealtimeOptions
    from voice.session import Session
    from voice.told import Told

# Answers beside the conversation, at the same time.
_OUT_OF_BAND = 4
_LENGTH = 10_000
_SAID_NOTHING = "[The user says nothing.]"
_ONLY_WEBRTC = "output_audio_buffer.clear"


class RealtimeTalk:
    """Performs events, in their order.

    ``use`` sets how the models are asked from now on, ``asking`` returns what asks them in another
    way. ``hears`` tells whether a model of a name transcribes; ``detector`` returns what tells
    speech from noise by a threshold.
    """

    def __init__(
        self,
        session: Session,
        events: Events,
        options: RealtimeOptions,
        use: Callable[[LiveOptions], None],
        asking: Callable[[LiveOptions], Models],
        hears: Callable[[str], bool],
        clock: Clock,
        detector: Callable[[float], Detector] = Loudness,
    ) -> None:
        self.id = f"sess_{secrets.token_hex(10)}"
        self._session = session
        self._events = events
        self._options = options
        self._use = use
        self._asking = asking
        self._hears = hears
        self._detector = detector
        self._idle = Idle(session, clock, self._prompt)
        self._rest = b""
        # The answers beside the conversation, by their ids, and how many there were.
        self._others: dict[str, OutOfBand] = {}
        self._number = 0
        # Answers that wait until all items are understood.
        self._waiting: list[Fields] = []
        self._conversation = Conversation(session, events, self._hear, self._understood)
        self._apply(options)
        self._takers: dict[str, Callable[[Fields], None]] = {
            "session.update": self._update,
            "transcription_session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._conversation.create,
            "conversation.item.retrieve": self._conversation.retrieve,
            "conversation.item.truncate": self._conversation.truncate,
            "conversation.item.delete": self._conversation.delete,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    def first(self) -> list[Json]:
        """Return the first events of the session."""
        shown = self._options.shown(self.id, beta=self._events.beta)
        created = [self._events.event("session.created", session=shown)]
        if self._events.beta:
            conversation = {"id": self._events.conversation, "object": "realtime.conversation"}
            created.append(self._events.event("conversation.created", conversation=conversation))
        return created

    async def take(self, message: str | bytes) -> bool:
        """Do what an event says; what cannot be done is told. Return True: the client ends it."""
        try:
            fields = Fields(orjson.loads(message))
        except ValueError:
            self._reply(self._events.error(BadRequest("The event is no JSON.")))
        except GatewayError as error:
            self._reply(self._events.error(error))
        else:
            self._do(self._take, fields)
        return True

    def _do(self, what: Callable[[Fields], None], fields: Fields) -> None:
        """Do what an event says, or tell why it cannot be done."""
        try:
            what(fields)
        except GatewayError as error:
            event = fields.raw("event_id")
            self._reply(self._events.error(error, event if isinstance(event, str) else None))

    def _take(self, fields: Fields) -> None:
        kind = fields.text("type")
        if kind == _ONLY_WEBRTC:
            message = f"'{kind}' is for WebRTC; here the client itself stops what it plays."
            raise BadRequest(message, param="type")
        if kind not in self._takers:
            raise BadRequest(f"Nothing is known of the type '{kind[:60]}'.", param="type")
        self._takers[kind](fields)

    def told(self, told: Told) -> Iterable[Any]:
        """Return the events that say this."""
        if isinstance(told, Began):
            self._conversation.began(told)
        if isinstance(told, Complete | Problem):
            # What one answer alone had asked for is over.
            self._apply(self._options)
        self._watch(told)
        return self._events.written(told)

    def _reply(self, *events: Json) -> None:
        for event in events:
            self._session.tell(Reply(event))

    def _watch(self, told: Told) -> None:
        """Wait for the user after an answer, as far as the session asks for it."""
        if isinstance(told, SpeechStarted | Understood):
            self._idle.spoken()
        elif isinstance(told, Began | Interrupted):
            self._idle.stop()
        elif isinstance(told, Complete) and not told.interrupted:
            self._idle.wait(self._options.detection.idle)

    def _prompt(self, seconds: float) -> None:
        """Have the model speak again, as the user has said nothing for so long."""
        turns, event = self._session.turns, self._events.event
        if turns.phase is not Phase.LISTENING or self._conversation.unheard:
            return
        item, at = question_of(turns.turn + 1), round(self._events.heard_ms)
        start = max(0, at - round(seconds * 1000))
        place = {"audio_start_ms": start, "audio_end_ms": at, "item_id": item}
        self._reply(event("input_audio_buffer.timeout_triggered", **place))
        self._reply(*self._events.committed(turns.turn + 1))
        turns.history.add(Entry(item, "user", _SAID_NOTHING))
        self._session.clear()
        self._session.answer()

    # -- the session -----------------------------------------------------------------

    def _update(self, fields: Fields) -> None:
        before = self._options
        self._options = updated(before, fields.raw("session"), self._hears)
        self._apply(self._options)
        if before.detection != self._options.detection:
            self._listen()
        shown = self._options.shown(self.id, beta=self._events.beta)
        self._reply(self._events.event("session.updated", session=shown))

    def _apply(self, options: RealtimeOptions) -> None:
        turns, detection = self._session.turns, options.detection
        turns.history.system = options.models.system
        turns.manners.answers = detection.answers and not options.transcribes
        turns.manners.interrupts = detection.interrupts
        turns.manners.speaks = options.speaks
        self._events.speaks, self._events.output = options.speaks, options.output
        self._conversation.input = options.input
        self._use(options.models)

    def _listen(self) -> None:
        detection = self._options.detection
        ears = Endpointer(SPOKEN, self._detector(detection.threshold or 0.01), detection.pace())
        self._session.configure(ears, detects=bool(detection.kind))

    # -- sound -----------------------------------------------------------------------

    def _append(self, fields: Fields) -> None:
        if (data := data_of(fields.text("audio"))) is None:
            raise fields.fault("audio", "must be base64")
        if self._options.input == PCM:
            data = self._rest + data
            whole = len(data) - len(data) % SAMPLE
            data, self._rest = data[:whole], data[whole:]
        data = samples_of(data, self._options.input)
        self._events.heard_ms += len(data) / SAMPLE / SPOKEN * 1000
        self._session.listen(data)

    def _commit(self, _fields: Fields) -> None:
        if not self._session.has_sound:
            raise BadRequest("The buffer has less than 100 ms of sound.", param="audio")
        self._reply(*self._events.committed(self._session.turns.turn + 1))
        self._session.ask(answer=False)

    def _clear(self, _fields: Fields) -> None:
        self._session.clear()
        self._reply(self._events.event("input_audio_buffer.cleared"))

    # -- answers ---------------------------------------------------------------------

    def _respond(self, fields: Fields) -> None:
        if self._options.transcribes:
            raise BadRequest("This session only transcribes.")
        if self._conversation.unheard:
            self._waiting.append(fields)
            return
        wanted = fields.at("response")
        apart = wanted.choice("conversation", ("auto", "none"), "auto") == "none"
        if not apart and self._session.turns.under_way():
            raise BadRequest("An answer is under way already: cancel it first.")
        options = updated(self._options, fields.raw("response"), self._hears)
        metadata = wanted.raw("metadata")
        own = None if not wanted.has("input") else self._input(wanted)
        if apart:
            self._answer_out_of_band(options, own, metadata)
            return
        messages = None
        if own is not None:
            if any(item.has_sound for item in own):
                why = "may have sound only where 'conversation' is none"
                raise wanted.fault("input", why)
            messages = _messages(options, [item.entry for item in own])
        self._events.metadata = metadata
        self._apply(options)
        self._session.answer(messages)

    async def _hear(self, sound: bytes) -> str:
        return await self._asking(self._options.models).hear(sound)

    def _understood(self) -> None:
        waiting, self._waiting = self._waiting, []
        for fields in waiting:
            self._do(self._respond, fields)

    def _input(self, wanted: Fields) -> list[Item]:
        """Return the items that an answer is for, in place of the conversation."""
        found = []
        for number, each in enumerate(wanted.objects("input")):
            fields = Fields(each, f"response.input.{number}")
            if fields.text("type") == "item_reference":
                found.append(Item(self._conversation.found(fields, "id"), []))
            else:
                name = fields.text("id") or f"item_{secrets.token_hex(10)}"
                found.append(item_of(fields, name, self._options.input))
        return found

    def _answer_out_of_band(
        self,
        options: RealtimeOptions,
        own: list[Item] | None,
        metadata: Any,  # noqa: ANN401 - the client's JSON
    ) -> None:
        if len(self._others) >= _OUT_OF_BAND:
            raise BadRequest(
                f"{_OUT_OF_BAND} answers beside the conversation are under way already."
            )
        self._number += 1
        name, item = f"resp_out_{self._number}", f"item_out_{self._number}"
        output = options.output if options.speaks else None
        response = ResponseEvents(
            self._events, name, item, output=output, metadata=metadata, out_of_band=True
        )
        models = self._asking(options.models)
        apart = OutOfBand(self._session, self._events, response, models, speaks=options.speaks)
        items = own or []
        entries = list(self._session.turns.history) if own is None else [i.entry for i in items]
        self._others[name] = apart
        apart.start(items, lambda: _messages(options, entries), lambda: self._forget(name))

    def _forget(self, name: str) -> None:
        self._others.pop(name, None)

    def _cancel(self, fields: Fields) -> None:
        turns, name = self._session.turns, fields.text("response_id")
        if name in self._others:
            self._others[name].cancel()
            return
        if not turns.under_way() or name not in ("", f"resp_{turns.turn}"):
            raise BadRequest("There is no answer to cancel.")
        self._events.cancelled = True
        self._session.interrupt()


def _messages(options: RealtimeOptions, entries: list[Entry]) -> list[dict[str, Any]]:
    """Return the messages of a chat that consists of these entries."""
    history = History(options.models.system, _LENGTH)
    for entry in entries:
        history.add(entry)
    return history.messages()
