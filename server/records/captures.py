"""Whole requests and responses for an operator who looks for a fault. Off unless configured.

They are in memory, the latest ones within a budget, and in files only where a folder is configured
(capture_files.py). Keys and cookies are not kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

from inference.call import Outlet
from server.client_response import ClientResponse
from server.records.capture_files import CaptureFiles
from utils.errors import UnknownRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.access_log import AccessRecord
    from server.exchange import Request
    from server.middleware import RequestContext
    from utils.clock import Clock

# Bytes of a body that are kept.
LONGEST = 1024 * 1024
_SECRET = frozenset(
    (
        *("authorization", "proxy-authorization", "x-api-key", "x-admin-token"),
        *("api-key", "x-goog-api-key", "cookie", "set-cookie", "sec-websocket-protocol"),
    )
)
_HIDDEN = "(hidden)"
# Bytes that a capture takes beside its bodies, about.
_FRAME = 2048


class CapturingResponse(ClientResponse):
    """Keeps the beginning of what the client gets of an answer, in ``said``."""

    def __init__(
        self, request: Request, clock: Clock, patience: float, carried: dict[str, str]
    ) -> None:
        super().__init__(request, clock, patience, carried)
        self.asked: bytes | None = None
        self.said = bytearray()
        self.size = 0

    def _keep(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.said += chunk[: LONGEST - len(self.said)]

    def put(self, chunk: bytes) -> bool:
        """Send the chunk, and keep it."""
        self._keep(chunk)
        return super().put(chunk)

    def outlet(self) -> Outlet | None:
        """Return ``put``: each chunk is kept."""
        return Outlet(self.put, self.drained) if super().outlet() else None

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole response, and keep it."""
        self._keep(body)
        await super().answer(status, headers, body)


class Captures:
    """The latest captures, within ``budget`` bytes; 0: none."""

    def __init__(self) -> None:
        self.budget = 0
        self._kept: OrderedDict[str, tuple[int, dict[str, Any]]] = OrderedDict()
        self._used = 0
        self._files = CaptureFiles()

    def add(self, ctx: RequestContext, response: CapturingResponse) -> None:
        """Keep a request that has ended, if it was for a model; the oldest make room for it."""
        record: AccessRecord = ctx.record
        if record.model is None:
            return
        asked = response.asked or ctx.request.whole or b""
        entry = {
            "id": record.id,
            "at": time.time(),
            "method": record.method,
            "path": _text(record.path),
            "client": record.client,
            "model": record.model,
            "status": record.failed or record.status,
            "request": _side(ctx.request.headers, asked[:LONGEST], len(asked)),
            "response": _side(response.response.headers, bytes(response.said), response.size),
        }
        size = _FRAME + min(len(asked), LONGEST) + len(response.said)
        settings = ctx.configuration.settings
        self.budget = settings.capture_budget
        self._kept[record.id] = size, entry
        self._used += size
        self._make_room()
        if settings.capture_folder is not None:
            folder, budget = settings.capture_folder, settings.capture_disk_budget
            self._files.put(folder, budget, partial(_told, entry))

    async def finish(self) -> None:
        """Wait until the files are written."""
        if self._files.busy:
            await asyncio.to_thread(self._files.finish)

    async def clear(self, folder: str | None) -> dict[str, int]:
        """Forget all that is in memory, and remove the files in ``folder``; return the numbers."""
        told = {"cleared": len(self._kept)}
        self._kept.clear()
        self._used = 0
        if folder is not None:
            removed, left = await asyncio.wrap_future(self._files.clear(folder))
            told |= {"files": removed, "files_left": left}
        return told

    def listed(self) -> list[dict[str, Any]]:
        """Return the captures without headers and bodies, the newest first."""
        hidden = ("request", "response")
        entries = (entry for _, entry in reversed(self._kept.values()))
        return [
            {name: value for name, value in entry.items() if name not in hidden}
            for entry in entries
        ]

    def find(self, request_id: str) -> dict[str, Any]:
        """Return a capture with its bodies as text; UnknownRequest if there is none."""
        found = self._kept.get(request_id)
        if found is None:
            raise UnknownRequest(f"No request with the id '{request_id}' was captured.")
        return _told(found[1])

    def _make_room(self) -> None:
        while self._used > self.budget and self._kept:
            _, (size, _) = self._kept.popitem(last=False)
            self._used -= size


class CaptureHandlers:
    """Answers on ``/admin/captures``."""

    def __init__(self, captures: Captures) -> None:
        self._captures = captures

    async def list(self, ctx: RequestContext) -> None:
        """Answer with what was captured, the newest first."""
        await ctx.json({"captures": self._captures.listed()})

    async def show(self, ctx: RequestContext) -> None:
        """Answer with one request and its response."""
        await ctx.json(self._captures.find(ctx.name or ""))

    async def clear(self, ctx: RequestContext) -> None:
        """Forget all captures, and remove their files."""
        folder = ctx.configuration.settings.capture_folder
        await ctx.json(await self._captures.clear(folder))


def _told(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a capture with its bodies as text."""
    told = dict(entry)
    for side in ("request", "response"):
        body: bytes = entry[side]["body"]
        told[side] = {**entry[side], "body": body.decode("utf-8", "replace")}
    return told


def _side(headers: Mapping[str, str], body: bytes, size: int) -> dict[str, Any]:
    told = {_text(n): _HIDDEN if n.lower() in _SECRET else _text(v) for n, v in headers.items()}
    return {"headers": told, "body": body, "bytes": size, "cut": size > len(body)}


def _text(header: str) -> str:
    """Return the text without bytes that are no UTF-8, which JSON cannot hold."""
    return str(header) if header.isascii() else header.encode(errors="replace").decode()
