"""``/v1/chat/completions`` and ``/v1/completions``, as llama-server writes them. Pure."""

from __future__ import annotations

import re

from inference.continuation.codec import Json, Step, is_text, plain, replaced
from inference.continuation.counts import Counts, counts_of, recount


class _OpenAI:
    """What chats and text completions share."""

    stops = "stop"
    wordless = True
    end = re.compile(rb'"finish_reason"\s*:\s*"length"')
    mark = b'"length"'
    special = re.compile(rb'"(?:usage|timings)"\s*:\s*\{')

    def exact(self, request: Json) -> bool:
        return plain(request) and is_text(request.get("response_format"))

    def full(self, answer: Json) -> bool:
        choice = _choice(answer)
        return choice is not None and choice.get("finish_reason") == "length"

    def counts(self, answer: Json) -> Counts | None:
        return counts_of(answer)

    def late(self, end: list[Json], text: str) -> bool:
        del text
        return any(step.words for event in end if (step := self.step(event)) is not None)

    def ids(self, event: Json) -> dict[str, str]:
        found = event.get("id")
        return {"answer": found} if isinstance(found, str) else {}

    def later(self, event: Json, before: Counts, said: str) -> Json:
        del said
        recount(event, before)
        return event

    def step(self, event: Json) -> Step | None:
        raise NotImplementedError

    @staticmethod
    def _end(answer: Json, first: Json, before: Counts) -> None:
        if "id" in first:
            answer["id"] = first["id"]
        recount(answer, before)


class Chat(_OpenAI):
    """``/v1/chat/completions``."""

    repeats = True

    def put(self, request: Json, text: str) -> bool:
        """Make ``text`` the last message, begun by the assistant."""
        messages = request["messages"]
        if messages[-1].get("role") != "assistant":
            messages.append({"role": "assistant", "content": text})
            return True
        return replaced(messages[-1], "content", text, ("role",))

    def trial(self, request: Json, text: str) -> Json | None:
        """Return the request itself."""
        del text
        return request

    def words(self, answer: Json) -> str | None:
        """Return the content; None if there is reasoning, a tool call, or a second choice."""
        message = _message(answer)
        return None if message is None or _is_more(message) else message.get("content") or ""

    def begun(self, answer: Json) -> str | None:
        """Return the content."""
        message = _message(answer)
        return None if message is None else message.get("content") or ""

    def complete(self, answer: Json, text: str, first: Json, before: Counts) -> None:
        """Set the content to ``text``."""
        answer["choices"][0].setdefault("message", {})["content"] = text
        self._end(answer, first, before)

    def step(self, event: Json) -> Step | None:
        """Return the step of the first choice; None if there is none."""
        choice = _choice(event)
        if choice is None:
            return None
        delta = choice.get("delta") or {}
        more = _is_more(delta) or bool(choice.get("index"))
        over = choice.get("finish_reason") is not None
        return Step(delta.get("content") or "", more, over)

    def joint(self, event: Json, added: str) -> Json | None:
        """Return the event without the role, which the client has already."""
        choice = event["choices"][0]
        delta = choice.get("delta") or {}
        left = {name: delta[name] for name in delta.keys() - {"role", "content"}}
        choice["delta"] = left | ({"content": added} if added else {})
        return event if choice["delta"] or choice.get("finish_reason") is not None else None


class Completion(_OpenAI):
    """``/v1/completions``, which puts no template between the words and the model."""

    repeats = False

    def put(self, request: Json, text: str) -> bool:
        """Append ``text`` to the prompt; return False if that is no text."""
        if not isinstance(request.get("prompt"), str):
            return False
        request["prompt"] += text
        return True

    def trial(self, request: Json, text: str) -> Json | None:
        """Return None: no template comes between prompt and model."""
        del request, text
        return None

    def words(self, answer: Json) -> str | None:
        """Return the text; None if there are several choices."""
        choice = _only_choice(answer)
        return None if choice is None or "message" in choice else choice.get("text") or ""

    def begun(self, answer: Json) -> str | None:
        """Return the text."""
        return self.words(answer)

    def complete(self, answer: Json, text: str, first: Json, before: Counts) -> None:
        """Set the text to ``text``."""
        answer["choices"][0]["text"] = text
        self._end(answer, first, before)

    def step(self, event: Json) -> Step | None:
        """Return the step of the first choice; None if there is none."""
        choice = _choice(event)
        if choice is None:
            return None
        over = choice.get("finish_reason") is not None
        return Step(choice.get("text") or "", bool(choice.get("index")), over)

    def joint(self, event: Json, added: str) -> Json | None:
        """Return the event with ``added`` as its text."""
        event["choices"][0]["text"] = added
        return event


CHAT = Chat()
COMPLETION = Completion()


def _is_more(message: Json) -> bool:
    return bool(message.get("tool_calls") or message.get("reasoning_content"))


def _message(answer: Json) -> Json | None:
    choice = _only_choice(answer)
    message = None if choice is None else choice.get("message")
    return message if isinstance(message, dict) else None


def _only_choice(answer: Json) -> Json | None:
    return _choice(answer) if len(answer.get("choices") or ()) == 1 else None


def _choice(data: Json) -> Json | None:
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return choices[0]
