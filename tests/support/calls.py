"""Calls to models without HTTP, and a sink that collects the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inference.call import Call, CallRecord
from models.capabilities import NAMES, Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from inference.call import Outlet
    from models.requests.endpoints import Endpoint
    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec

EVERYTHING = Capabilities(frozenset(NAMES), frozenset(NAMES))


def call_of(model: ModelSpec, facts: RequestFacts, **fields: Any) -> Call:
    """Return a call to ``model`` with these facts."""
    endpoint: Endpoint = facts.endpoint
    headers = {"Content-Type": "application/json"} | (
        {"Connection": "close"} if facts.stream else {}
    )
    given: dict[str, Any] = {
        "facts": facts,
        "model": model,
        "able": EVERYTHING,
        "record": CallRecord(started=0.0, id="call"),
        "path": endpoint.paths[0],
        "headers": headers,
    }
    return Call(**(given | fields))


class Collected:
    """A sink that keeps the answer; ``on_write`` is called with each piece."""

    def __init__(self, on_write: Callable[[bytes], None] | None = None) -> None:
        self.decided: dict[str, str] = {}
        self.progress: Callable[[], str] | None = None
        self.begun = False
        self.ended = False
        self.status = 0
        self.body = b""
        self._on_write = on_write

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        del headers
        self.begun = True
        self.status = self.status or status

    async def write(self, chunk: bytes) -> None:
        if self._on_write is not None:
            self._on_write(chunk)
        self.body += chunk

    def outlet(self) -> Outlet | None:
        """Return None: pieces are written."""
        return None

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        await self.begin(status, headers)
        await self.write(body)

    async def refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        del status, headers, body
        return False

    async def end(self) -> None:
        self.ended = True
