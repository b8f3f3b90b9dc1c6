"""Items that a client adds to a conversation: texts, sounds, calls of functions. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engine.sound.wav import wav_head
from voice.history import Entry, ToolCall
from voice.realtime.sound import data_of, samples_of
from voice.sound import SPOKEN, seconds_of_samples

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voice.fields import Fields
    from voice.history import Role

_ROLES = ("user", "assistant", "system")
_ITEMS = ("message", "function_call", "function_call_output")


class Heard(NamedTuple):
    """The text of the sound in a part of an item."""

    part: int
    text: str
    seconds: float


@dataclass(slots=True)
class Item:
    """An entry of the history; ``parts`` are its texts and, as files, its sounds."""

    entry: Entry
    parts: list[str | bytes]

    @property
    def has_sound(self) -> bool:
        """Whether a part must be heard before the entry has all of its text."""
        return any(isinstance(part, bytes) for part in self.parts)

    async def hear(self, hears: Callable[[bytes], Awaitable[str]]) -> list[Heard]:
        """Complete the text of the entry by ``hears``; return what was heard.

        Raises the GatewayError of ``hears``.
        """
        heard: list[Heard] = []
        for index, part in enumerate(self.parts):
            if isinstance(part, bytes):
                text = (await hears(part)).strip()
                heard.append(Heard(index, text, seconds_of_samples(part, SPOKEN)))
        known = {each.part: each.text for each in heard}
        texts = [known.get(index, part) for index, part in enumerate(self.parts)]
        self.entry.text = "\n".join(text for text in texts if isinstance(text, str))
        return heard

    def shown(self, content: Any) -> dict[str, Any]:  # noqa: ANN401 - the client's JSON
        """Return the item as the API tells it, with the content that the client gave."""
        entry = self.entry
        common = {"id": entry.id, "object": "realtime.item", "status": "completed"}
        if entry.role == "tool":
            output = {"call_id": entry.call, "output": entry.text}
            return {**common, "type": "function_call_output", **output}
        if entry.calls:
            call = entry.calls[0]
            told = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
            return {**common, "type": "function_call", **told}
        return {**common, "type": "message", "role": entry.role, "content": content}


def item_of(fields: Fields, name: str, form: str) -> Item:
    """Return the item of an event, whose sound has the format ``form``; or raise BadRequest."""
    kind = fields.choice("type", _ITEMS, "message")
    if kind == "function_call_output":
        output = Entry(name, "tool", fields.text("output"), call=fields.text("call_id"))
        return Item(output, [])
    if kind == "function_call":
        arguments = fields.text("arguments", "{}")
        call = ToolCall(fields.text("call_id"), fields.text("name"), arguments)
        return Item(Entry(name, "assistant", "", calls=(call,)), [])
    role = cast("Role", fields.choice("role", _ROLES, "user"))
    parts = [_part(part, fields, form) for part in fields.objects("content")]
    texts = [part for part in parts if isinstance(part, str)]
    return Item(Entry(name, role, "\n".join(texts)), parts)


def content_of(fields: Fields) -> list[dict[str, Any]]:
    """Return the content of an item, without the sound itself."""
    parts = fields.objects("content")
    return [{name: part[name] for name in part if name != "audio"} for part in parts]


def _part(part: dict[str, Any], fields: Fields, form: str) -> str | bytes:
    text, audio = part.get("text") or part.get("transcript"), part.get("audio")
    if isinstance(text, str):
        return text
    if not isinstance(audio, str):
        raise fields.fault("content", "must be text or sound: of images nothing is understood")
    if (data := data_of(audio)) is None:
        raise fields.fault("content", "must have its sound as base64")
    samples = samples_of(data[: len(data) // 2 * 2], form)
    return wav_head(SPOKEN, len(samples)) + samples
