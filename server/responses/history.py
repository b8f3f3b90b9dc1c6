"""What was said before: stored responses, and the conversations that they belong to.

A response goes on from another one, which goes on from the one before, or from a conversation. Each
is stored with its own items alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from utils.errors import BadRequest, EarlierNotStored, NotStored
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.requests.fields import Json
    from server.codecs.responses.request import ResponseRequest
    from server.responses.conversations import Conversations
    from server.responses.store import ResponseStore

_log = get_logger("responses")
_LOST = {"code": "server_error", "message": "The gateway ended before the response did."}
_UNDER_WAY = ("queued", "in_progress")


class History:
    """Reads and writes what responses and conversations are made of.

    ``runs`` tells whether a response is being written now.
    """

    def __init__(
        self, store: ResponseStore, conversations: Conversations, runs: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._runs = runs

    async def complete(
        self, request: ResponseRequest, owner: str
    ) -> tuple[ResponseRequest, list[Json]]:
        """Return the request with the items that it refers to, and the items before it.

        Raises EarlierNotStored, NotStored for a conversation, or BadRequest for other references.
        """
        earlier = await self._earlier(request, owner)
        known = {item["id"]: item for item in earlier}
        items = []
        for at, item in enumerate(request.items):
            if item["type"] == "item_reference":
                items.append(await self._item(item["id"], known, owner, f"input[{at}]"))
            else:
                items.append(item)
        return replace(request, items=tuple(items)), earlier

    async def keep(
        self,
        request: ResponseRequest,
        response: Json,
        owner: str,
        events: list[str] | None = None,
    ) -> None:
        """Store a response, if that was asked for, and add its items to its conversation."""
        output = response["output"]
        if request.store:
            document = {"response": response, "items": list(request.items)}
            if events is not None:
                document["events"] = events
            ids = tuple(item["id"] for item in (*request.items, *output))
            await self._store.put(response["id"], owner, document, ids)
        if request.conversation is not None and response["status"] not in _UNDER_WAY:
            try:
                await self._conversations.add(
                    request.conversation, owner, [*request.items, *output]
                )
            except NotStored:
                _log.info("a conversation was deleted while a response of it was written")

    async def find(self, key: str, owner: str) -> Json:
        """Return what is stored of a response, or raise NotStored."""
        document = await self._document(key, owner)
        if document is None:
            raise NotStored(f"Response with id '{key[:80]}' not found.")
        return document

    async def remove(self, key: str, owner: str) -> None:
        """Forget a response, or raise NotStored."""
        await self.find(key, owner)
        await self._store.remove(key, owner)

    async def _earlier(self, request: ResponseRequest, owner: str) -> list[Json]:
        if request.conversation is not None:
            return await self._conversations.items(request.conversation, owner)
        turns: list[list[Json]] = []
        key = request.previous
        while key is not None:
            document = await self._document(key, owner)
            if document is None:
                raise EarlierNotStored(
                    f"Previous response with id '{key[:80]}' not found: it was never stored, was"
                    " deleted, or was forgotten to make room for others.",
                    param="previous_response_id",
                )
            response = document["response"]
            if response["status"] in _UNDER_WAY:
                raise BadRequest(
                    f"The response '{key}' has not ended.", param="previous_response_id"
                )
            turns.append([*document["items"], *response["output"]])
            if response["conversation"] is not None:
                turns.append(await self._before(document, owner))
                break
            key = response["previous_response_id"]
        return [item for turn in reversed(turns) for item in turn]

    async def _document(self, key: str, owner: str) -> Json | None:
        document = await self._store.get(key, owner)
        if document is None or "response" not in document:
            return None
        response = document["response"]
        if response["status"] in _UNDER_WAY and not self._runs(key):
            # It was written when a gateway ended too suddenly to say so.
            document["response"] = response | {"status": "failed", "error": _LOST}
        return document

    async def _before(self, document: Json, owner: str) -> list[Json]:
        """Return the items that came before a response in its conversation."""
        response = document["response"]
        own = {item["id"] for item in (*document["items"], *response["output"])}
        items = await self._conversations.items(response["conversation"]["id"], owner)
        at = next((at for at, item in enumerate(items) if item["id"] in own), len(items))
        return items[:at]

    async def _item(self, key: str, known: dict[str, Json], owner: str, where: str) -> Json:
        if key in known:
            return known[key]
        document = await self._store.holder(key, owner)
        if document is not None:
            output = document.get("response", {}).get("output", [])
            for item in (*document["items"], *output):
                if item["id"] == key:
                    found: Json = item
                    return found
        raise BadRequest(f"'{where}' refers to an item that is not stored.", param=where)
