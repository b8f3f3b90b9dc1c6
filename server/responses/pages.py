"""The paths of conversations: create, read, change and delete them and their items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.requests.reader import decoded
from server.codecs.responses.items import input_items
from server.codecs.responses.request import metadata_of
from server.responses.handlers import owner_of
from server.responses.listing import listed, page_of
from server.uploads.body import read_body
from utils.errors import BadRequest, UnknownPath, WrongMethod

if TYPE_CHECKING:
    from models.requests.fields import Json
    from server.middleware import RequestContext
    from server.responses.conversations import Conversations


class ConversationHandlers:
    """Answers requests about conversations: ``<id>``, ``<id>/items`` and ``<id>/items/<item>``."""

    def __init__(self, conversations: Conversations) -> None:
        self._conversations = conversations

    async def create(self, ctx: RequestContext) -> None:
        """Answer with a new conversation."""
        body = await read_body(ctx)
        request = decoded(body) if body else {}
        items = _items(request) if request.get("items") is not None else []
        owner, metadata = owner_of(ctx), metadata_of(request)
        await ctx.json(await self._conversations.create(owner, items, metadata))

    async def look(self, ctx: RequestContext) -> None:
        """Answer with a conversation, its items or one of them."""
        key, item = _named(ctx)
        owner = owner_of(ctx)
        if item is None:
            await ctx.json(await self._conversations.find(key, owner))
        elif item:
            await ctx.json(await self._conversations.item(key, item, owner))
        else:
            items = await self._conversations.items(key, owner)
            await ctx.json(page_of(items, ctx.request.query))

    async def change(self, ctx: RequestContext) -> None:
        """Add items, or replace the metadata."""
        key, item = _named(ctx)
        owner, request = owner_of(ctx), decoded(await read_body(ctx))
        if item is None:
            await ctx.json(await self._conversations.describe(key, owner, metadata_of(request)))
        elif item:
            raise WrongMethod(f"{ctx.request.path} does not take POST.", ("GET", "DELETE"))
        else:
            items = _items(request)
            await self._conversations.add(key, owner, items)
            await ctx.json(listed(items))

    async def delete(self, ctx: RequestContext) -> None:
        """Forget a conversation, or one of its items."""
        key, item = _named(ctx)
        owner = owner_of(ctx)
        if item:
            await ctx.json(await self._conversations.drop(key, item, owner))
        elif item is None:
            await self._conversations.remove(key, owner)
            await ctx.json({"id": key, "object": "conversation.deleted", "deleted": True})
        else:
            raise WrongMethod(f"{ctx.request.path} does not take DELETE.", ("GET", "POST"))


def _named(ctx: RequestContext) -> tuple[str, str | None]:
    """Return the conversation, and the item: None without ``/items``, "" without its id."""
    key, slash, rest = (ctx.name or "").partition("/")
    if not slash:
        return key, None
    page, _, item = rest.partition("/")
    if page != "items" or "/" in item:
        raise UnknownPath(f"Nothing is served at {ctx.request.path}.")
    return key, item


def _items(request: Json) -> list[Json]:
    value = request.get("items")
    if isinstance(value, str):
        raise BadRequest("'items' must be an array.", param="items")
    items = input_items(value, "items")
    for at, item in enumerate(items):
        if item["type"] == "item_reference":
            raise BadRequest(f"'items[{at}]' must be a whole item.", param=f"items[{at}]")
    return items
