"""The events that OpenAI's Realtime API sends: what a session tells, in its words. Pure."""

from __future__ import annotations

import secrets
from itertools import count
from typing import TYPE_CHECKING, Any

from voice.playout import Playout
from voice.realtime.options import PCM
from voice.realtime.partly import AgreedText
from voice.realtime.response import ResponseEvents, message
from voice.told import (
    Began,
    Complete,
    Partial,
    Problem,
    Reply,
    Speech,
    SpeechStarted,
    SpeechStopped,
    Text,
    Understood,
)
from voice.turns import answer_of, question_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from utils.errors import GatewayError
    from voice.told import Told

Json = dict[str, Any]
# How the events of answers begin in the beta, by their present names.
_BETA = {
    "response.output_audio.": "response.audio.",
    "response.output_audio_transcript.": "response.audio_transcript.",
    "response.output_text.": "response.text.",
}


class Events:
    """Writes the events of one session, in the names of the present API, or of the ``beta``.

    ``error_of`` returns type and code of a failure. ``speaks`` and ``output`` are those of the
    session's options; ``cancelled`` says that the client itself has ended the answer. ``metadata``
    is what the client has added to the answer that it asks for.
    """

    def __init__(
        self, error_of: Callable[[GatewayError], tuple[str, str]], *, beta: bool = False
    ) -> None:
        self.beta = beta
        self.speaks = True
        self.output = PCM
        self.cancelled = False
        self.metadata: Any = None
        self.conversation = f"conv_{secrets.token_hex(10)}"
        # What was spoken in each answer: where a client has stopped it is told by time.
        self.spoken: dict[str, Playout] = {}
        # Milliseconds of sound that the client has sent.
        self.heard_ms = 0.0
        self._error_of = error_of
        self._ids = count(1)
        self._last: str | None = None
        # The item that the speech of now may become.
        self._speech = ""
        self._committed: set[int] = set()
        self._response: ResponseEvents | None = None
        # The turn that it answers.
        self._turn = 0
        self._agreed = AgreedText()

    @property
    def response(self) -> str:
        """The id of the answer that is under way, "" for none."""
        return "" if self._response is None else self._response.id

    def event(self, kind: str, **fields: Any) -> Json:  # noqa: ANN401 - JSON values
        """Return an event of this type."""
        if self.beta:
            for name, old in _BETA.items():
                kind = kind.replace(name, old)
        return {"event_id": f"event_{next(self._ids)}", "type": kind, **fields}

    def error(self, error: GatewayError, event: str | None = None) -> Json:
        """Return the event for a fault; ``event`` is the id of the client's event."""
        return self.event("error", error={**self.fault(error), "event_id": event})

    def fault(self, error: GatewayError) -> Json:
        """Return a fault as the API tells it."""
        kind, code = self._error_of(error)
        return {"type": kind, "code": code, "message": error.message, "param": error.param}

    def written(self, told: Told) -> list[Json]:
        """Return the events that say this."""
        if isinstance(told, Reply):
            return [told.message]
        if isinstance(told, SpeechStarted | SpeechStopped):
            return self._of_speech(told)
        if isinstance(told, Understood | Partial):
            return self._understood(told)
        if isinstance(told, Problem):
            return self._failed(told)
        return self._of_answer(told)

    def committed(self, turn: int) -> list[Json]:
        """Return what says that the sound so far is an item of the conversation."""
        if turn in self._committed:
            return []
        self._committed.add(turn)
        item, before = question_of(turn), self._last
        told = self.event("input_audio_buffer.committed", item_id=item, previous_item_id=before)
        content = [{"type": "input_audio", "transcript": None}]
        return [told, *self.item(message(item, "user", content))]

    def item(self, item: Json, before: str | None = None) -> list[Json]:
        """Return what says that an item is there, behind ``before`` or the last one."""
        place = {"previous_item_id": before or self._last, "item": item}
        self._last = item["id"]
        if self.beta:
            return [self.event("conversation.item.created", **place)]
        kinds = ("conversation.item.added", "conversation.item.done")
        return [self.event(kind, **place) for kind in kinds]

    # -- turns -----------------------------------------------------------------------

    def _of_speech(self, told: SpeechStarted | SpeechStopped) -> list[Json]:
        at, buffer = round(self.heard_ms), "input_audio_buffer"
        if told.turn:
            self._speech = question_of(told.turn)
        if isinstance(told, SpeechStarted):
            begun = self.event(f"{buffer}.speech_started", audio_start_ms=at, item_id=self._speech)
            return [begun]
        stopped = self.event(f"{buffer}.speech_stopped", audio_end_ms=at, item_id=self._speech)
        return [stopped, *(self.committed(told.turn) if told.turn else [])]

    def _understood(self, told: Understood | Partial) -> list[Json]:
        place = {"item_id": question_of(told.turn), "content_index": 0}
        done = "conversation.item.input_audio_transcription"
        final = isinstance(told, Understood)
        find = self._agreed.rest if final else self._agreed.more
        delta = find(told.turn, told.text)
        events = [self.event(f"{done}.delta", **place, delta=delta)] if delta else []
        if final:
            usage = {"type": "duration", "seconds": round(self.heard_ms / 1000, 3)}
            completed = self.event(f"{done}.completed", **place, transcript=told.text, usage=usage)
            events.append(completed)
        return events

    def _failed(self, told: Problem) -> list[Json]:
        response = self._response
        if response is not None and self._turn == told.turn:
            self._response = None
            return response.failed(self.fault(told.error))
        if told.turn:
            kind = "conversation.item.input_audio_transcription.failed"
            place = {"item_id": question_of(told.turn), "content_index": 0}
            return [self.event(kind, **place, error=self.fault(told.error))]
        return [self.error(told.error)]

    # -- answers ---------------------------------------------------------------------

    def _of_answer(self, told: Told) -> list[Json]:
        if isinstance(told, Began):
            name, item = f"resp_{told.turn}", answer_of(told.turn)
            output = self.output if self.speaks else None
            self._turn, metadata, self.metadata = told.turn, self.metadata, None
            self._response = ResponseEvents(self, name, item, output=output, metadata=metadata)
            return self._response.created()
        response = self._response
        if response is None or self._turn != told.turn:
            return []
        if isinstance(told, Text):
            return response.text(told.text)
        if isinstance(told, Speech):
            playout = self.spoken.setdefault(response.item, Playout(0.0))
            playout.send(told.text, told.seconds, 0.0)
            return response.speech(told.sound)
        if not isinstance(told, Complete):
            return []
        self._response, cancelled, self.cancelled = None, self.cancelled, False
        return response.complete(told, cancelled=cancelled)
