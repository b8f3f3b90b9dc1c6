"""``/v1/responses``, as llama-server writes it. Pure.

It says ``completed`` of every answer, so only the counts show that a context was full: to the
last token. An answer that comes to its own end just there is taken for one that was cut, and the
larger engine finds that nothing is left to say. The end of a stream repeats the whole text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inference.continuation.codec import Json, Step, begun_chat, is_text, plain, replaced
from inference.continuation.counts import counts_of, recount

if TYPE_CHECKING:
    from inference.continuation.counts import Counts

_NOTHING = Step()
_BEGINNING = (
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.content_part.added",
)
_AFTER = (
    "response.content_part.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
)
_SPOKEN_TO = ("user", "system", "developer")


class Responses:
    """``/v1/responses``."""

    stops = "stop"
    repeats = True
    wordless = False
    tells_why = False
    named = True
    end = re.compile(rb"event: response\.output_text\.done\n")
    mark = b"response.output_text.done"
    special = re.compile(
        rb"event: response\.(?:created|in_progress|[a-z_]+\.(?:added|done)|completed|incomplete)\n"
        rb'|"timings":\{'
    )

    def exact(self, request: Json) -> bool:
        """Return False for a required format and for a reference to an earlier response."""
        text = request.get("text")
        form = text.get("format") if isinstance(text, dict) else None
        known = not request.get("previous_response_id")
        return (
            known and plain(request) and is_text(form) and is_text(request.get("response_format"))
        )

    def put(self, request: Json, text: str) -> bool:
        """Make ``text`` the last item, a message begun by the assistant."""
        value = request["input"]
        if isinstance(value, str):
            value = request["input"] = [{"role": "user", "content": value}]
        last = value[-1]
        if last.get("role") in _SPOKEN_TO or last.get("type") == "function_call_output":
            content = [{"type": "output_text", "text": text}]
            value.append({"type": "message", "role": "assistant", "content": content})
            return True
        if last.get("role") != "assistant":
            return False
        content = last.get("content")
        if isinstance(content, list):
            part = content[0] if len(content) == 1 else None
            known = ("type", "annotations", "logprobs")
            return isinstance(part, dict) and replaced(part, "text", text, known)
        return replaced(last, "content", text, ("role", "type", "id", "status"))

    def trial(self, request: Json, text: str) -> Json:
        """Return a chat that ends in ``text``."""
        return begun_chat(request, text)

    def full(self, answer: Json) -> bool:
        """Return whether it is the end of a response: each may mean a full context."""
        response = _response(answer)
        ended = response.get("status") in ("completed", "incomplete")
        return ended and response.get("object") == "response"

    def counts(self, answer: Json) -> Counts | None:
        """Return the counts: timings stand beside the response, usage inside it."""
        return counts_of(answer) or counts_of(_response(answer))

    def words(self, answer: Json) -> str | None:
        """Return the text; None unless the output is one message of one text."""
        output: list[Json] = answer.get("output") or []
        alone = len(output) == 1 and len(output[0].get("content") or ()) == 1
        return self.begun(answer) if alone else None

    def begun(self, answer: Json) -> str | None:
        """Return the text of the first item; None if that is no message."""
        output = answer.get("output")
        if answer.get("object") != "response" or not isinstance(output, list):
            return None
        if not output:
            return ""
        part = _text_in(output[0])
        return None if part is None else part["text"]

    def complete(self, answer: Json, text: str, first: Json, before: Counts) -> None:
        """Set the first item to that of ``first``, with ``text``."""
        item = first["output"][0]
        item["content"][0]["text"] = text
        answer["output"][:1] = [item]
        answer |= {name: first[name] for name in ("id", "created_at") if name in first}
        recount(answer, before)

    def step(self, event: Json) -> Step | None:
        """Return the step; None for an error and after the end of the text."""
        kind = event.get("type")
        if kind == "response.output_text.delta":
            return Step(event.get("delta") or "")
        if kind == "response.output_text.done":
            return Step(over=True)
        if kind in _BEGINNING:
            return _NOTHING
        if kind in _AFTER or not str(kind).startswith("response."):
            return None
        if (event.get("item") or {}).get("type") == "message":
            return _NOTHING if kind == "response.output_item.added" else None
        return Step(more=True)

    def late(self, end: list[Json], text: str) -> bool:
        """Return whether the text that the end repeats is another."""
        return any(each.get("text", text) != text for each in end)

    def ids(self, event: Json) -> dict[str, str]:
        """Return the ids of the response and of its message."""
        kind = event.get("type")
        name, found = "", None
        if kind == "response.created":
            name, found = "response", _response(event).get("id")
        elif kind == "response.output_item.added" and event["item"].get("type") == "message":
            name, found = "message", event["item"].get("id")
        return {name: found} if isinstance(found, str) else {}

    def joint(self, event: Json, added: str) -> Json | None:
        """Return the event with ``added`` as its text; None without any."""
        event["delta"] = added
        return event if added else None

    def later(self, event: Json, before: Counts, said: str) -> Json | None:
        """Return the event, recounted and with whole texts; None for beginnings."""
        kind, item = event.get("type"), event.get("item")
        if kind in _BEGINNING:
            return None
        if kind == "response.output_text.done":
            _say(event, said)
        elif kind == "response.content_part.done":
            _say(event["part"], said)
        elif isinstance(item, dict) and (part := _text_in(item)) is not None:
            _say(part, said)
        elif isinstance(item, dict) and item.get("type") == "message":
            return None
        elif "response" in event:
            for part in filter(None, map(_text_in, event["response"].get("output") or ())):
                _say(part, said)
            recount(event["response"], before)
        recount(event, before)
        return event


RESPONSES = Responses()


def _response(answer: Json) -> Json:
    response = answer.get("response", answer)
    return response if isinstance(response, dict) else {}


def _say(part: Json, said: str) -> None:
    """Put ``said`` before the text of ``part``, unless the engine has done so."""
    if not part["text"].startswith(said):
        part["text"] = said + part["text"]


def _text_in(item: Json) -> Json | None:
    """Return the first part of a message if that is text, else None."""
    content = item.get("content")
    if item.get("type") != "message" or not isinstance(content, list) or not content:
        return None
    part: Json = content[0]
    return part if part.get("type") == "output_text" and "text" in part else None
