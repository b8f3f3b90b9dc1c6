"""Streams of the fake llama-server that can be read again, by conversation."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the cost of importing typing
    from fake_http import Connection


class Session:
    """The stream of one conversation, as far as it was written."""

    def __init__(self) -> None:
        self.text = ""
        self.done = False
        self.cancelled = False


class Streams:
    """All sessions of one process."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def begin(self, conversation: str) -> Session:
        """A request of the conversation → a new session; the old one is cancelled."""
        self.stop(conversation)
        session = self._sessions[conversation] = Session()
        return session

    def stop(self, conversation: str) -> None:
        """Remove the conversation's session; nothing more is written to it."""
        if (session := self._sessions.pop(conversation, None)) is not None:
            session.cancelled = session.done = True

    def lookup(self, body: dict[str, object]) -> list[dict[str, object]]:
        """Return the sessions of the named conversations."""
        names = body.get("conversation_ids")
        return [
            {"conversation_id": name, "is_done": session.done, "total_bytes": len(session.text)}
            for name in (names if isinstance(names, list) else [])
            if (session := self._sessions.get(str(name))) is not None
        ]

    def replay(self, connection: Connection, conversation: str, start: int) -> None:
        """Send the session from byte *start* on, until it is done."""
        session = self._sessions.get(conversation)
        if session is None:
            body = {"message": "Stream not found", "type": "not_found_error", "code": 404}
            connection.respond_json(404, {"error": body})
            return
        connection.start_stream()
        while True:
            done = session.done
            text = session.text[start:]
            if text:
                connection.chunk(text)
                start += len(text)
            if done:
                break
            connection.wait(0.01)
        connection.end_stream()
