"""``Conversation``: what a client of the Realtime API does to the items of its conversation."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from utils.errors import GatewayError
from voice.history import Entry
from voice.realtime.items import content_of, item_of
from voice.realtime.options import PCM
from voice.told import Began, Reply
from voice.turns import answer_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voice.fields import Fields
    from voice.realtime.events import Events, Json
    from voice.realtime.items import Item
    from voice.session import Session


class Conversation:
    """Takes the events about items. ``input`` is the format of the sounds in them.

    ``hears`` makes a text of a sound; ``understood`` is called when all sounds have become texts,
    of which ``unheard`` are left.
    """

    def __init__(
        self,
        session: Session,
        events: Events,
        hears: Callable[[bytes], Awaitable[str]],
        understood: Callable[[], None],
    ) -> None:
        self.input = PCM
        self.unheard = 0
        self._session = session
        self._events = events
        self._hears = hears
        self._understood = understood
        # The item before each answer.
        self._before: dict[str, str | None] = {}

    def began(self, told: Began) -> None:
        """Note where an answer stands."""
        last = [entry.id for entry in self._session.turns.history][-1:]
        self._before[answer_of(told.turn)] = last[0] if last else None

    def create(self, fields: Fields) -> None:
        """Add an item; a sound in it is made a text."""
        item = fields.at("item")
        name = item.text("id") or f"item_{secrets.token_hex(10)}"
        if self._session.turns.history.find(name) is not None:
            raise item.fault("id", "must be new")
        before = fields.text("previous_item_id") or None
        made = item_of(item, name, self.input)
        self._session.turns.history.add(made.entry, before)
        self._reply(*self._events.item(made.shown(content_of(item)), before))
        if made.has_sound:
            self.unheard += 1
            self._session.spawn(self._hear(made), "hear an item")

    async def _hear(self, item: Item) -> None:
        """Make a text of the sounds of an item."""
        name, kind = item.entry.id, "conversation.item.input_audio_transcription"
        try:
            heard = await item.hear(self._hears)
            for part, text, seconds in heard:
                place = {"item_id": name, "content_index": part}
                usage = {"type": "duration", "seconds": round(seconds, 3)}
                done = self._events.event(
                    f"{kind}.completed", **place, transcript=text, usage=usage
                )
                self._reply(done)
        except GatewayError as error:
            self._session.turns.history.remove(name)
            place = {"item_id": name, "content_index": 0}
            fault = self._events.fault(error)
            self._reply(self._events.event(f"{kind}.failed", **place, error=fault))
        finally:
            self.unheard -= 1
        if not self.unheard:
            self._understood()

    def retrieve(self, fields: Fields) -> None:
        """Tell an item as it is."""
        entry = self.found(fields)
        said = entry.role == "assistant"
        content = [{"type": "output_text" if said else "input_text", "text": entry.text}]
        item = {"id": entry.id, "object": "realtime.item", "type": "message", "content": content}
        shown = {**item, "role": entry.role, "status": "completed"}
        self._reply(self._events.event("conversation.item.retrieved", item=shown))

    def truncate(self, fields: Fields) -> None:
        """Keep of a spoken answer what the client has played."""
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

    def delete(self, fields: Fields) -> None:
        """Forget an item."""
        name = self.found(fields).id
        self._session.turns.history.remove(name)
        self._reply(self._events.event("conversation.item.deleted", item_id=name))

    def found(self, fields: Fields, name: str = "item_id") -> Entry:
        """Return the entry whose id the field has, or raise BadRequest."""
        entry = self._session.turns.history.find(fields.text(name))
        if entry is None:
            raise fields.fault(name, "must be an item of the conversation")
        return entry

    def _reply(self, *events: Json) -> None:
        for event in events:
            self._session.tell(Reply(event))
