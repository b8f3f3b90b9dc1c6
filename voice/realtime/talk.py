"""``RealtimeTalk``: what the events of a client of OpenAI's Realtime API do. Pure."""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import TYPE_CHECKING, Any, cast

import orjson

from engine.sound.resample import resampled
from utils.errors import BadRequest, GatewayError
from voice import g711
from voice.activity import SAMPLE, Endpointer, Loudness
from voice.fields import Fields
from voice.history import Entry, ToolCall
from voice.realtime.options import PCM, ULAW, updated
from voice.sound import SPOKEN
from voice.told import Began, Complete, Problem, Reply
from voice.turns import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from voice.activity import Detector
    from voice.history import Role
    from voice.live.options import LiveOptions
    from voice.realtime.events import Events, Json
    from voice.realtime.options import RealtimeOptions
    from voice.session import Session
    from voice.told import Told

_ROLES = ("user", "assistant", "system")
_ITEMS = ("message", "function_call", "function_call_output")


class RealtimeTalk:
    """Performs events, in their order.

    ``use`` sets how the models are asked from now on, ``detector`` returns what tells speech from
    noise by a threshold.
    """

    def __init__(
        self,
        session: Session,
        events: Events,
        options: RealtimeOptions,
        use: Callable[[LiveOptions], None],
        hears: Callable[[str], bool],
        detector: Callable[[float], Detector] = Loudness,
    ) -> None:
        self.id = f"sess_{secrets.token_hex(10)}"
        self._session = session
        self._events = events
        self._options = options
        self._use = use
        self._hears = hears
        self._detector = detector
        self._rest = b""
        # The item before each answer.
        self._before: dict[str, str | None] = {}
        self._apply(options)
        self._takers: dict[str, Callable[[Fields], None]] = {
            "session.update": self._update,
            "transcription_session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.truncate": self._truncate,
            "conversation.item.delete": self._delete,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    def first(self) -> list[Json]:
        """Return the first events of the session."""
        shown = self._options.shown(self.id, beta=self._events.beta)
        return [self._events.event("session.created", session=shown)]

    def take(self, message: str | bytes) -> bool:
        """Do what an event says; what cannot be done is told. Return True: the client ends it."""
        event = None
        try:
            fields = Fields(orjson.loads(message))
            event = fields.text("event_id") or None
            kind = fields.text("type")
            if kind not in self._takers:
                raise BadRequest(f"Nothing is known of the type '{kind[:60]}'.", param="type")
            self._takers[kind](fields)
        except ValueError:
            self._reply(self._events.error(BadRequest("The event is no JSON."), event))
        except GatewayError as error:
            self._reply(self._events.error(error, event))
        return True

    def told(self, told: Told) -> Iterable[Any]:
        """Return the events that say this."""
        if isinstance(told, Began):
            last = [entry.id for entry in self._session.turns.history][-1:]
            self._before[answer_of(told.turn)] = last[0] if last else None
        if isinstance(told, Complete | Problem):
            # What one answer alone had asked for is over.
            self._apply(self._options)
        return self._events.written(told)

    def _reply(self, *events: Json) -> None:
        for event in events:
            self._session.tell(Reply(event))

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
        self._use(options.models)

    def _listen(self) -> None:
        detection = self._options.detection
        ears = Endpointer(SPOKEN, self._detector(detection.threshold or 0.01), detection.pace())
        self._session.configure(ears, detects=bool(detection.kind))

    # -- sound -----------------------------------------------------------------------

    def _append(self, fields: Fields) -> None:
        try:
            data = base64.b64decode(fields.text("audio"), validate=True)
        except (binascii.Error, ValueError):
            raise fields.fault("audio", "must be base64") from None
        heard = self._options.input
        if heard == PCM:
            data = self._rest + data
            whole = len(data) - len(data) % SAMPLE
            data, self._rest = data[:whole], data[whole:]
        else:
            samples = g711.decoded(data, "ulaw" if heard == ULAW else "alaw")
            data = resampled(samples, g711.RATE, SPOKEN)
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

    # -- the conversation ------------------------------------------------------------

    def _create(self, fields: Fields) -> None:
        item = fields.at("item")
        name = item.text("id") or f"item_{secrets.token_hex(10)}"
        if self._session.turns.history.find(name) is not None:
            raise item.fault("id", "must be new")
        before = fields.text("previous_item_id") or None
        entry = entry_of(item, name)
        self._session.turns.history.add(entry, before)
        shown = {**fields.raw("item"), "id": name, "object": "realtime.item", "status": "completed"}
        self._reply(*self._events.item(shown, before))

    def _retrieve(self, fields: Fields) -> None:
        entry = self._found(fields)
        said = entry.role == "assistant"
        content = [{"type": "output_text" if said else "input_text", "text": entry.text}]
        item = {"id": entry.id, "object": "realtime.item", "type": "message", "content": content}
        shown = {**item, "role": entry.role, "status": "completed"}
        self._reply(self._events.event("conversation.item.retrieved", item=shown))

    def _truncate(self, fields: Fields) -> None:
        name, end = fields.text("item_id"), fields.count("audio_end_ms", 0, 0, 2**31)
        spoken = self._events.spoken.get(name)
        if spoken is None:
            raise fields.fault("item_id", "must be an answer that was spoken")
        history, heard = self._session.turns.history, spoken.heard(end / 1000)
        if history.find(name) is None and heard.strip():
            # It was thought that nothing was heard; the client knows better.
            history.add(Entry(name, "assistant", heard), self._before.get(name))
        history.cut(name, heard)
        place = {"item_id": name, "content_index": 0, "audio_end_ms": end}
        self._reply(self._events.event("conversation.item.truncated", **place))

    def _delete(self, fields: Fields) -> None:
        name = self._found(fields).id
        self._session.turns.history.remove(name)
        self._reply(self._events.event("conversation.item.deleted", item_id=name))

    def _found(self, fields: Fields) -> Entry:
        entry = self._session.turns.history.find(fields.text("item_id"))
        if entry is None:
            raise fields.fault("item_id", "must be an item of the conversation")
        return entry

    # -- answers ---------------------------------------------------------------------

    def _respond(self, fields: Fields) -> None:
        if self._options.transcribes:
            raise BadRequest("This session only transcribes.")
        if self._session.turns.under_way():
            raise BadRequest("An answer is under way already: cancel it first.")
        wanted = fields.at("response")
        if wanted.text("conversation", "auto") != "auto" or "input" in wanted:
            raise wanted.fault("conversation", "must be auto: answers belong to the conversation")
        self._apply(updated(self._options, fields.raw("response"), self._hears))
        self._session.answer()

    def _cancel(self, _fields: Fields) -> None:
        if not self._session.turns.under_way():
            raise BadRequest("There is no answer to cancel.")
        self._events.cancelled = True
        self._session.interrupt()


def entry_of(item: Fields, name: str) -> Entry:
    """Return the entry of the history that an item is, or raise BadRequest."""
    kind = item.choice("type", _ITEMS, "message")
    if kind == "function_call_output":
        return Entry(name, "tool", item.text("output"), call=item.text("call_id"))
    if kind == "function_call":
        call = ToolCall(item.text("call_id"), item.text("name"), item.text("arguments", "{}"))
        return Entry(name, "assistant", "", calls=(call,))
    role = item.choice("role", _ROLES, "user")
    texts = []
    for part in item.objects("content"):
        text = part.get("text") or part.get("transcript")
        if not isinstance(text, str):
            raise item.fault("content", "must be text: sound goes through input_audio_buffer")
        texts.append(text)
    return Entry(name, cast("Role", role), "\n".join(texts))
