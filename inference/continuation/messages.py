"""``/v1/messages``, Anthropic's API, as llama-server writes it. Pure.

A stream counts its prompt in its first event and its answer in the last but one. An answer of
words is one text block, which is closed only at the end, whatever that is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from inference.continuation.codec import Json, Step, begun_chat, plain, replaced
from inference.continuation.counts import counts_of, recount

if TYPE_CHECKING:
    from inference.continuation.counts import Counts

_NOTHING = Step()


class Messages:
    """``/v1/messages``."""

    stops = "stop_sequences"
    repeats = True
    wordless = False
    named = True
    end = re.compile(rb"event: content_block_stop\n")
    mark = b"content_block_stop"
    special = re.compile(rb"event: (?:message_start|message_delta|content_block_start)\n")

    def exact(self, request: Json) -> bool:
        """Return False for thinking and for a required output format."""
        thinking = request.get("thinking")
        thinks = isinstance(thinking, dict) and thinking.get("type") != "disabled"
        formed = request.get("output_format") or request.get("output_config")
        return plain(request) and not thinks and not formed

    def put(self, request: Json, text: str) -> bool:
        """Make ``text`` the last message, begun by the assistant."""
        messages = request["messages"]
        last = messages[-1]
        if last.get("role") != "assistant":
            messages.append({"role": "assistant", "content": text})
            return True
        content = last.get("content")
        if isinstance(content, list):
            block = content[0] if len(content) == 1 else None
            if not isinstance(block, dict) or block.get("type") != "text":
                return False
            return replaced(block, "text", text, ("type", "cache_control"))
        return replaced(last, "content", text, ("role",))

    def trial(self, request: Json, text: str) -> Json:
        """Return a chat that ends in ``text``."""
        return begun_chat(request, text)

    def full(self, answer: Json) -> bool:
        """Return whether it ended for its length: the context's or the request's limit."""
        place = answer.get("delta") or answer
        return bool(place.get("stop_reason") == "max_tokens")

    def counts(self, answer: Json) -> Counts | None:
        """Return the counts: the first event has the prompt's, the last the answer's."""
        message = answer.get("message")
        # An error's is a text.
        return counts_of(message if isinstance(message, dict) else answer)

    def words(self, answer: Json) -> str | None:
        """Return the text; None unless the content is one block of text."""
        return self.begun(answer) if len(answer.get("content") or ()) == 1 else None

    def begun(self, answer: Json) -> str | None:
        """Return the text of the first block; None if it is of another kind."""
        content = answer.get("content")
        if answer.get("type") != "message" or not isinstance(content, list):
            return None
        if not content:
            return ""
        return content[0].get("text") or "" if content[0].get("type") == "text" else None

    def complete(self, answer: Json, text: str, first: Json, before: Counts) -> None:
        """Set the first block to ``text``."""
        answer["content"][:1] = [{"type": "text", "text": text}]
        answer["id"] = first.get("id")
        recount(answer, before)

    def step(self, event: Json) -> Step | None:
        """Return the step; None for an error and after the end of the text."""
        kind, index = event.get("type"), event.get("index")
        if kind in ("message_start", "ping"):
            return _NOTHING
        if kind == "content_block_delta" and index == 0:
            delta = event.get("delta") or {}
            if delta.get("type") == "text_delta":
                return Step(delta.get("text") or "")
        if kind == "content_block_start" and self._opens_words(event):
            return _NOTHING
        if kind == "content_block_stop" and index == 0:
            return Step(over=True)
        return Step(more=True) if str(kind).startswith("content_block") else None

    def late(self, end: list[Json], text: str) -> bool:
        """Return whether text follows the end of its block."""
        del text
        return any(step.words for event in end if (step := self.step(event)) is not None)

    def ids(self, event: Json) -> dict[str, str]:
        """Return nothing: only the first event has an id, and later first events are dropped."""
        del event
        return {}

    def joint(self, event: Json, added: str) -> Json | None:
        """Return the event with ``added`` as its text; None without any."""
        event["delta"]["text"] = added
        return event if added else None

    def later(self, event: Json, before: Counts, said: str) -> Json | None:
        """Return the recounted event; None for the beginnings of message and block."""
        del said
        if event.get("type") == "message_start" or self._opens_words(event):
            return None
        recount(event, before)
        return event

    @staticmethod
    def _opens_words(event: Json) -> bool:
        block = event.get("content_block")
        return isinstance(block, dict) and block.get("type") == "text" and event.get("index") == 0


MESSAGES = Messages()
