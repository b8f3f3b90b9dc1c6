"""``ResponseEvents``: the events of one answer of the Realtime API, in their order. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voice.realtime.sound import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voice.realtime.events import Events, Json
    from voice.told import Complete

_LIMIT, _LEFT, _RESET = "x-ratelimit-limit-", "x-ratelimit-remaining-", "x-ratelimit-reset-"


class ResponseEvents:
    """Writes an answer whose message has the id ``item``; it is spoken as ``output``, or a text.

    One that is ``out_of_band`` does not belong to the conversation. ``metadata`` is the client's.
    """

    def __init__(
        self,
        events: Events,
        name: str,
        item: str,
        *,
        output: str | None,
        metadata: Any = None,  # noqa: ANN401 - the client's JSON
        out_of_band: bool = False,
    ) -> None:
        self.id = name
        self.item = item
        self._events = events
        self._output = output
        self._metadata = metadata
        self._out_of_band = out_of_band
        self._begun = False
        self._text: list[str] = []

    def created(self) -> list[Json]:
        """Return what says that the answer has begun."""
        return [self._event("response.created", response=self._shown("in_progress"))]

    def text(self, piece: str) -> list[Json]:
        """Return what tells the next piece of its text."""
        self._text.append(piece)
        name = "output_text" if self._output is None else "output_audio_transcript"
        begun = self._begin()
        return [*begun, self._event(f"response.{name}.delta", **self._part_place(), delta=piece)]

    def speech(self, samples: bytes) -> list[Json]:
        """Return what tells the next piece of its speech."""
        begun, data = self._begin(), written(samples, self._output or "")
        return [
            *begun,
            self._event("response.output_audio.delta", **self._part_place(), delta=data),
        ]

    def complete(self, told: Complete, *, cancelled: bool) -> list[Json]:
        """Return its end; ``cancelled`` by the client, where it is interrupted."""
        calls = [
            {
                "id": f"{self.item}_call_{number}",
                "object": "realtime.item",
                "type": "function_call",
                "status": "completed",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
            }
            for number, call in enumerate(told.calls)
        ]
        tokens = {"input_tokens": told.usage.prompt, "output_tokens": told.usage.completion}
        cached = {"cached_tokens": told.usage.cached or 0}
        total = sum(tokens.values())
        usage: Json = {**tokens, "total_tokens": total, "input_token_details": cached}
        limits = limits_of(told.usage.limits)
        first = [self._event("rate_limits.updated", rate_limits=limits)] if limits else []
        if not told.interrupted:
            return [*first, *self._done("completed", {"type": "completed"}, calls, usage)]
        reason = "client_cancelled" if cancelled else "turn_detected"
        details = {"type": "cancelled", "reason": reason}
        return [*first, *self._done("cancelled", details, calls, usage)]

    def failed(self, fault: Json) -> list[Json]:
        """Return its end by a fault."""
        return self._done("failed", {"type": "failed", "error": fault}, [], None)

    # -- inside ----------------------------------------------------------------------

    def _begin(self) -> list[Json]:
        if self._begun:
            return []
        self._begun = True
        item = message(self.item, "assistant", [], "in_progress")
        added = self._event("response.output_item.added", **self._place(), item=item)
        part = self._event("response.content_part.added", **self._part_place(), part=self._part(""))
        return [added, *([] if self._out_of_band else self._events.item(item)[:1]), part]

    def _done(
        self, status: str, details: Json, calls: list[Json], usage: Json | None
    ) -> list[Json]:
        events: list[Json] = []
        output: list[Json] = []
        if self._begun:
            item = self._message("completed" if status == "completed" else "incomplete")
            events += self._message_done(item)
            output.append(item)
        for call in calls:
            events += self._called(len(output), call)
            output.append(call)
        shown = self._shown(status, output=output, status_details=details, usage=usage)
        return [*events, self._event("response.done", response=shown)]

    def _message(self, status: str) -> Json:
        audio, beta = self._output is not None, self._events.beta
        kind, field = ("audio", "transcript") if audio else ("text", "text")
        content = {"type": kind if beta else f"output_{kind}", field: "".join(self._text)}
        return message(self.item, "assistant", [content], status)

    def _message_done(self, item: Json) -> list[Json]:
        place, text = self._part_place(), "".join(self._text)
        if self._output is None:
            events = [self._event("response.output_text.done", **place, text=text)]
        else:
            kind = "response.output_audio_transcript.done"
            events = [
                self._event("response.output_audio.done", **place),
                self._event(kind, **place, transcript=text),
            ]
        events.append(self._event("response.content_part.done", **place, part=self._part(text)))
        events.append(self._event("response.output_item.done", **self._place(), item=item))
        if not (self._events.beta or self._out_of_band):
            events.append(self._event("conversation.item.done", item=item))
        return events

    def _called(self, at: int, call: Json) -> list[Json]:
        item = self._place(at)
        place = {**item, "item_id": call["id"], "call_id": call["call_id"]}
        begun = {**call, "status": "in_progress", "arguments": ""}
        arguments, kind = call["arguments"], "response.function_call_arguments"
        return [
            self._event("response.output_item.added", **item, item=begun),
            *([] if self._out_of_band else self._events.item(call)),
            self._event(f"{kind}.delta", **place, delta=arguments),
            self._event(f"{kind}.done", **place, name=call["name"], arguments=arguments),
            self._event("response.output_item.done", **item, item=call),
        ]

    def _shown(self, status: str, **more: Any) -> Json:  # noqa: ANN401 - JSON values
        modalities = ["text"] if self._output is None else ["audio"]
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [],
            "usage": None,
            "metadata": self._metadata,
            "conversation_id": None if self._out_of_band else self._events.conversation,
            "modalities" if self._events.beta else "output_modalities": modalities,
            **more,
        }

    def _place(self, at: int = 0) -> Json:
        return {"response_id": self.id, "output_index": at}

    def _part_place(self) -> Json:
        return {**self._place(), "item_id": self.item, "content_index": 0}

    def _part(self, text: str) -> Json:
        if self._output is None:
            return {"type": "text", "text": text}
        return {"type": "audio", "transcript": text}

    def _event(self, kind: str, **fields: Any) -> Json:  # noqa: ANN401 - JSON values
        return self._events.event(kind, **fields)


def message(item: str, role: str, content: list[Json], status: str = "completed") -> Json:
    """Return a message as an item of a conversation."""
    return {
        "id": item,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": role,
        "content": content,
    }


def limits_of(headers: Mapping[str, str]) -> list[Json]:
    """Return what is left of the caller's limits, by the headers that tell it."""
    return [
        {
            "name": name,
            "limit": int(limit),
            "remaining": int(headers.get(_LEFT + name, "0")),
            "reset_seconds": float(headers.get(_RESET + name, "0").removesuffix("s")),
        }
        for header, limit in headers.items()
        if header.startswith(_LIMIT) and (name := header.removeprefix(_LIMIT))
    ]
