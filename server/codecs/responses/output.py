"""The items of a response's output while they are written: messages, thoughts and calls. Pure.

Each method returns events, without their numbers. An item is opened, added to, and closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from server.codecs.responses.items import new_id, seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.codecs.deltas import Json, Text
    from server.codecs.responses.tools import Named

# The fields of a token's probability, and of the others that it could have been.
_TOKEN = ("token", "logprob", "bytes")


class Item:
    """An item at ``place`` in the output; the base of the others."""

    prefix = ""

    def __init__(self, place: int) -> None:
        self.id = new_id(self.prefix)
        self.place = place
        self.status = "in_progress"

    def json(self) -> Json:
        """Return the item as it is now."""
        raise NotImplementedError

    def opened(self) -> Iterator[Json]:
        """Yield the events at the beginning of the item."""
        yield self._item("response.output_item.added")

    def closed(self, status: str) -> Iterator[Json]:
        """Yield the events at the end of the item; none if it has ended."""
        if self.status == "in_progress":
            yield from self._finished()
            self.status = status
            yield self._item("response.output_item.done")

    def _finished(self) -> Iterator[Json]:
        """Yield the events of the item's last part."""
        raise NotImplementedError

    def _item(self, kind: str) -> Json:
        return {"type": kind, "output_index": self.place, "item": self.json()}

    def _event(self, kind: str, **fields: Any) -> Json:  # noqa: ANN401 - JSON values
        return {"type": kind, "item_id": self.id, "output_index": self.place, **fields}


class Message(Item):
    """What the model says: texts and refusals."""

    prefix = "msg"

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self._parts: list[Json] = []
        self._open = ""

    def json(self) -> Json:
        """Return the message as it is now."""
        return {
            "id": self.id,
            "type": "message",
            "status": self.status,
            "role": "assistant",
            "content": [dict(part) for part in self._parts],
        }

    def add_text(self, said: Text) -> Iterator[Json]:
        """Yield the events of a piece of text."""
        yield from self._part("output_text", {"text": "", "annotations": [], "logprobs": []})
        part, logprobs = self._parts[-1], [_logprob(each) for each in said.logprobs]
        part["text"] += said.text
        part["logprobs"] = part["logprobs"] + logprobs
        yield self._of_part("response.output_text.delta", delta=said.text, logprobs=logprobs)

    def add_refusal(self, text: str) -> Iterator[Json]:
        """Yield the events of a piece of a refusal."""
        yield from self._part("refusal", {"refusal": ""})
        self._parts[-1]["refusal"] += text
        yield self._of_part("response.refusal.delta", delta=text)

    def _part(self, kind: str, empty: Json) -> Iterator[Json]:
        if self._open != kind:
            yield from self._finished()
            self._open = kind
            self._parts.append({"type": kind, **empty})
            yield self._of_part("response.content_part.added", part=dict(self._parts[-1]))

    def _finished(self) -> Iterator[Json]:
        kind, self._open = self._open, ""
        if not kind:
            return
        part = dict(self._parts[-1])
        if kind == "output_text":
            text, logprobs = part["text"], part["logprobs"]
            yield self._of_part("response.output_text.done", text=text, logprobs=logprobs)
        else:
            yield self._of_part("response.refusal.done", refusal=part["refusal"])
        yield self._of_part("response.content_part.done", part=part)

    def _of_part(self, kind: str, **fields: Any) -> Json:  # noqa: ANN401 - JSON values
        return self._event(kind, content_index=len(self._parts) - 1, **fields)


class Thoughts(Item):
    """What the model thinks: as content, or as a summary where one is wanted.

    ``sealed``: the client keeps the thoughts, and sends them back.
    """

    prefix = "rs"

    def __init__(self, place: int, *, summarised: bool, sealed: bool) -> None:
        super().__init__(place)
        self._text = ""
        self._summarised = summarised
        self._sealed = sealed
        self._begun = False

    def json(self) -> Json:
        """Return the thoughts as they are now."""
        parts = [self._part()] if self._begun else []
        item: Json = {"id": self.id, "type": "reasoning", "status": self.status}
        item |= {"summary": parts} if self._summarised else {"summary": [], "content": parts}
        done = self.status != "in_progress"
        return item | ({"encrypted_content": seal(self._text)} if self._sealed and done else {})

    def add(self, text: str) -> Iterator[Json]:
        """Yield the events of a piece of the thoughts."""
        if not self._begun:
            self._begun = True
            yield self._of_part(
                "response.reasoning_summary_part.added"
                if self._summarised
                else "response.content_part.added",
                part=self._part(),
            )
        self._text += text
        yield self._of_part(f"{self._kind}.delta", delta=text)

    def _finished(self) -> Iterator[Json]:
        if not self._begun:
            return
        yield self._of_part(f"{self._kind}.done", text=self._text)
        yield self._of_part(
            "response.reasoning_summary_part.done"
            if self._summarised
            else "response.content_part.done",
            part=self._part(),
        )

    @property
    def _kind(self) -> str:
        return f"response.reasoning_{'summary_' if self._summarised else ''}text"

    def _part(self) -> Json:
        kind = "summary_text" if self._summarised else "reasoning_text"
        return {"type": kind, "text": self._text}

    def _of_part(self, kind: str, **fields: Any) -> Json:  # noqa: ANN401 - JSON values
        index = "summary_index" if self._summarised else "content_index"
        return self._event(kind, **{index: 0}, **fields)


class Call(Item):
    """A call of a function, which the client runs."""

    prefix = "fc"

    def __init__(self, place: int, call_id: str | None, tool: Named) -> None:
        super().__init__(place)
        self._call = call_id or new_id("call")
        self._name = tool.name
        self._space = {} if tool.namespace is None else {"namespace": tool.namespace}
        self._arguments = ""

    def json(self) -> Json:
        """Return the call as it is now."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self._call,
            "name": self._name,
            **self._space,
            "arguments": self._arguments,
        }

    def add(self, arguments: str) -> Iterator[Json]:
        """Yield the events of a piece of the arguments."""
        self._arguments += arguments
        if arguments:
            yield self._event("response.function_call_arguments.delta", delta=arguments)

    def _finished(self) -> Iterator[Json]:
        yield self._event(
            "response.function_call_arguments.done", name=self._name, arguments=self._arguments
        )


class CustomCall(Call):
    """A call of a custom tool: its text, which engines write as an argument, comes at the end."""

    prefix = "ctc"

    def __init__(self, place: int, call_id: str | None, tool: Named) -> None:
        super().__init__(place, call_id, tool)
        self._input = ""

    def json(self) -> Json:
        """Return the call as it is now."""
        return {
            "id": self.id,
            "type": "custom_tool_call",
            "status": self.status,
            "call_id": self._call,
            "name": self._name,
            **self._space,
            "input": self._input,
        }

    def add(self, arguments: str) -> Iterator[Json]:
        """Note a piece of the arguments."""
        self._arguments += arguments
        yield from ()

    def _finished(self) -> Iterator[Json]:
        self._input = _input(self._arguments)
        if self._input:
            yield self._event("response.custom_tool_call_input.delta", delta=self._input)
        yield self._event("response.custom_tool_call_input.done", input=self._input)


def _input(arguments: str) -> str:
    """Return the text in the arguments; what is no such object is the text itself."""
    try:
        value = orjson.loads(arguments)["input"]
    except (ValueError, KeyError, TypeError):
        return arguments
    return value if isinstance(value, str) else arguments


def _logprob(told: Json) -> Json:
    """Return a token's probability with all its fields."""
    others = told.get("top_logprobs")
    tops = [_token(each) for each in others if isinstance(each, dict)] if others else []
    return _token(told) | {"top_logprobs": tops}


def _token(told: Json) -> Json:
    token = {name: told.get(name) for name in _TOKEN}
    if token["bytes"] is None:
        token["bytes"] = list(str(token["token"]).encode())
    return token
