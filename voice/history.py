"""What was said in a session, as a model is to know it. Pure.

An answer that was interrupted stays with the words that were heard, and a mark. What nobody heard
was never said. Two messages of one side become one: many chat templates refuse them otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Role = Literal["system", "user", "assistant", "tool"]
FIRST = "root"
"""What the first entry stands behind."""
INTERRUPTED = " [INTERRUPTED BY USER]"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants to be called; ``arguments`` are JSON."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Entry:
    """A message; ``call`` is the id of the call whose result it is, for the role ``tool``."""

    id: str
    role: Role
    text: str
    interrupted: bool = False
    calls: tuple[ToolCall, ...] = ()
    call: str = ""

    @property
    def content(self) -> str:
        """The text as the model sees it."""
        return self.text + INTERRUPTED if self.interrupted else self.text


class History:
    """The messages of a session, of which the last ``length`` are kept.

    Once there are more, a quarter of them goes at once: as long as the beginning stays the same,
    the engine need not read it again.
    """

    def __init__(self, system: str = "", length: int = 20) -> None:
        self.system = system
        self.length = length
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def find(self, entry: str) -> Entry | None:
        """Return the entry of this id."""
        return next((each for each in self._entries if each.id == entry), None)

    def add(self, entry: Entry, after: str | None = None) -> None:
        """Add an entry: behind the one with the id ``after``, or first of all; else at the end."""
        ids = [each.id for each in self._entries]
        at = ids.index(after) + 1 if after in ids else 0 if after == FIRST else len(ids)
        self._entries.insert(at, entry)
        if len(self._entries) > self.length:
            del self._entries[: max(1, self.length // 4)]
            # A conversation begins with a question, and a result follows its call.
            while self._entries and self._entries[0].role in ("assistant", "tool"):
                del self._entries[0]

    def cut(self, entry: str, heard: str) -> None:
        """Keep of an answer what was heard, and mark it; without words it was never said."""
        found = self.find(entry)
        if found is None:
            return
        if not heard.strip() and not found.calls:
            self._entries.remove(found)
            return
        found.text, found.interrupted = heard, True

    def remove(self, entry: str) -> bool:
        """Forget an entry; return whether there was one of this id."""
        found = self.find(entry)
        if found is not None:
            self._entries.remove(found)
        return found is not None

    def messages(self, *more: Entry) -> list[dict[str, Any]]:
        """Return the messages for a chat, with ``more`` that are not in the history yet."""
        first = {"role": "system", "content": self.system}
        messages: list[dict[str, Any]] = [first] if self.system else []
        # Without a text, its sound is not understood yet.
        known = [each for each in self._entries if each.text or each.calls or each.role == "tool"]
        for entry in (*known, *more):
            last = messages[-1] if messages else {}
            plain = not entry.calls and entry.role != "tool" and "tool_calls" not in last
            if plain and last.get("role") == entry.role:
                last["content"] = f"{last['content']}\n{entry.content}"
            else:
                messages.append(_message(entry))
        return messages


def _message(entry: Entry) -> dict[str, Any]:
    message: dict[str, Any] = {"role": entry.role, "content": entry.content}
    if entry.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in entry.calls
        ]
    if entry.role == "tool":
        message["tool_call_id"] = entry.call
    return message
