"""The events that OpenAI's Realtime API sends: what a session tells, in its words. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from engine.sound.resample import resampled
from voice import g711
from voice.playout import Playout
from voice.realtime.options import PCM, ULAW
from voice.sound import SPOKEN
from voice.told import (
    Began,
    Complete,
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


@dataclass(slots=True)
class _Response:
    """An answer that is under way. ``parts``: its message was begun, as ``audio`` or as text."""

    turn: int
    audio: bool
    begun: bool = False
    text: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"resp_{self.turn}"

    @property
    def place(self) -> Json:
        return {"response_id": self.id, "output_index": 0}


class Events:
    """Writes the events of one session, in the names of the present API, or of the ``beta``.

    ``error_of`` returns type and code of a failure. ``speaks`` and ``output`` are those of the
    session's options; ``cancelled`` says that the client itself has ended the answer.
    """

    def __init__(
        self, error_of: Callable[[GatewayError], tuple[str, str]], *, beta: bool = False
    ) -> None:
        self.beta = beta
        self.speaks = True
        self.output = PCM
        self.cancelled = False
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
        self._response: _Response | None = None

    @property
    def active(self) -> bool:
        """Whether an answer is under way."""
        return self._response is not None

    def event(self, kind: str, **fields: Any) -> Json:  # noqa: ANN401 - JSON values
        """Return an event of this type."""
        if self.beta:
            for name, old in _BETA.items():
                kind = kind.replace(name, old)
        return {"event_id": f"event_{next(self._ids)}", "type": kind, **fields}

    def error(self, error: GatewayError, event: str | None = None) -> Json:
        """Return the event for a fault; ``event`` is the id of the client's event."""
        return self.event("error", error={**self._fault(error), "event_id": event})

    def written(self, told: Told) -> list[Json]:
        """Return the events that say this."""
        if isinstance(told, Reply):
            return [told.message]
        if isinstance(told, SpeechStarted | SpeechStopped):
            return self._of_speech(told)
        if isinstance(told, Understood):
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
        return [told, *self.item(_message(item, "user", content))]

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

    def _understood(self, told: Understood) -> list[Json]:
        place = {"item_id": question_of(told.turn), "content_index": 0}
        usage = {"type": "duration", "seconds": round(self.heard_ms / 1000, 3)}
        done = "conversation.item.input_audio_transcription"
        return [
            self.event(f"{done}.delta", **place, delta=told.text),
            self.event(f"{done}.completed", **place, transcript=told.text, usage=usage),
        ]

    def _failed(self, told: Problem) -> list[Json]:
        response = self._response
        if response is not None and response.turn == told.turn:
            details = {"type": "failed", "error": self._fault(told.error)}
            return self._done(response, "failed", details, [], None)
        if told.turn:
            kind = "conversation.item.input_audio_transcription.failed"
            place = {"item_id": question_of(told.turn), "content_index": 0}
            return [self.event(kind, **place, error=self._fault(told.error))]
        return [self.error(told.error)]

    # -- answers ---------------------------------------------------------------------

    def _of_answer(self, told: Told) -> list[Json]:
        if isinstance(told, Began):
            self._response = _Response(told.turn, self.speaks)
            return [self.event("response.created", response=self._shown("in_progress"))]
        response = self._response
        if response is None or response.turn != told.turn:
            return []
        if isinstance(told, Text):
            response.text.append(told.text)
            name = "output_audio_transcript" if response.audio else "output_text"
            delta = self.event(f"response.{name}.delta", **self._place(response), delta=told.text)
            return [*self._begun(response), delta]
        if isinstance(told, Speech):
            playout = self.spoken.setdefault(answer_of(told.turn), Playout(0.0))
            playout.send(told.text, told.seconds, 0.0)
            data = base64.b64encode(self._sound(told.sound)).decode()
            sound = self.event("response.output_audio.delta", **self._place(response), delta=data)
            return [*self._begun(response), sound]
        return self._complete(response, told) if isinstance(told, Complete) else []

    def _complete(self, response: _Response, told: Complete) -> list[Json]:
        calls = [
            {
                "id": f"item_{told.turn}_call_{number}",
                "object": "realtime.item",
                "type": "function_call",
                "status": "completed",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
            }
            for number, call in enumerate(told.calls)
        ]
        details: Json = {"type": "completed"}
        status = "completed"
        if told.interrupted:
            reason = "client_cancelled" if self.cancelled else "turn_detected"
            details, status = {"type": "cancelled", "reason": reason}, "cancelled"
        self.cancelled = False
        tokens = {"input_tokens": told.usage.prompt, "output_tokens": told.usage.completion}
        usage = {**tokens, "total_tokens": sum(tokens.values())}
        return self._done(response, status, details, calls, usage)

    def _begun(self, response: _Response) -> list[Json]:
        if response.begun:
            return []
        response.begun = True
        item = _message(answer_of(response.turn), "assistant", [], "in_progress")
        place = self._place(response)
        added = self.event("response.output_item.added", **response.place, item=item)
        told = self.item(item)[:1]
        part = self._part(response, "")
        return [added, *told, self.event("response.content_part.added", **place, part=part)]

    def _done(
        self,
        response: _Response,
        status: str,
        details: Json | None,
        calls: list[Json],
        usage: Json | None,
    ) -> list[Json]:
        self._response = None
        events: list[Json] = []
        output: list[Json] = []
        if response.begun:
            place, text = self._place(response), "".join(response.text)
            if response.audio:
                events.append(self.event("response.output_audio.done", **place))
                kind = "response.output_audio_transcript.done"
                events.append(self.event(kind, **place, transcript=text))
            else:
                events.append(self.event("response.output_text.done", **place, text=text))
            part = self._part(response, text)
            events.append(self.event("response.content_part.done", **place, part=part))
            content = [self._content(response, text)]
            ended = "completed" if status == "completed" else "incomplete"
            item = _message(answer_of(response.turn), "assistant", content, ended)
            output.append(item)
            events.append(self.event("response.output_item.done", **response.place, item=item))
            if not self.beta:
                events.append(self.event("conversation.item.done", item=item))
        for call in calls:
            events += self._called(response, len(output), call)
            output.append(call)
        shown = self._shown(status, response, output=output, status_details=details, usage=usage)
        return [*events, self.event("response.done", response=shown)]

    def _called(self, response: _Response, at: int, call: Json) -> list[Json]:
        item = {"response_id": response.id, "output_index": at}
        place = {**item, "item_id": call["id"], "call_id": call["call_id"]}
        begun = {**call, "status": "in_progress", "arguments": ""}
        arguments, kind = call["arguments"], "response.function_call_arguments"
        return [
            self.event("response.output_item.added", **item, item=begun),
            *self.item(call),
            self.event(f"{kind}.delta", **place, delta=arguments),
            self.event(f"{kind}.done", **place, name=call["name"], arguments=arguments),
            self.event("response.output_item.done", **item, item=call),
        ]

    def _shown(self, status: str, response: _Response | None = None, **more: Any) -> Json:  # noqa: ANN401 - JSON values
        response = response or self._response
        modalities = ["audio"] if self.speaks else ["text"]
        return {
            "id": "" if response is None else response.id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [],
            "usage": None,
            "metadata": None,
            "modalities" if self.beta else "output_modalities": modalities,
            **more,
        }

    def _place(self, response: _Response) -> Json:
        return {**response.place, "item_id": answer_of(response.turn), "content_index": 0}

    @staticmethod
    def _part(response: _Response, text: str) -> Json:
        if response.audio:
            return {"type": "audio", "transcript": text}
        return {"type": "text", "text": text}

    def _content(self, response: _Response, text: str) -> Json:
        kind = "audio" if response.audio else "text"
        name = "transcript" if response.audio else "text"
        return {"type": kind if self.beta else f"output_{kind}", name: text}

    def _sound(self, samples: bytes) -> bytes:
        if self.output == PCM:
            return samples
        law: g711.Law = "ulaw" if self.output == ULAW else "alaw"
        return g711.encoded(resampled(samples, SPOKEN, g711.RATE), law)

    def _fault(self, error: GatewayError) -> Json:
        kind, code = self._error_of(error)
        return {"type": kind, "code": code, "message": error.message, "param": error.param}


def _message(item: str, role: str, content: list[Json], status: str = "completed") -> Json:
    return {
        "id": item,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": role,
        "content": content,
    }
