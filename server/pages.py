"""``PageHandlers``: the pages for browsers, and their assets, from ``web``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.signposts import wants_page
from utils.errors import UnknownPath

if TYPE_CHECKING:
    from server.middleware import Handler, RequestContext
    from web.site import Answer, Site

_MOVED = 308


class PageHandlers:
    """Answers with the files of ``site``; other clients than browsers get ``signpost`` at ``/``."""

    def __init__(self, site: Site, signpost: Handler) -> None:
        self._site = site
        self._signpost = signpost

    async def root(self, ctx: RequestContext) -> None:
        """Answer a browser with the landing page, and other clients with the base URLs."""
        if not wants_page(ctx.request.headers):
            await self._signpost(ctx)
            return
        await self._page(ctx, "landing/index")

    async def playground(self, ctx: RequestContext) -> None:
        """Answer with the page on which people try models."""
        await self._page(ctx, "playground/index")

    async def live(self, ctx: RequestContext) -> None:
        """Answer with the page on which people talk to models."""
        await self._page(ctx, "live/index")

    async def admin(self, ctx: RequestContext) -> None:
        """Answer with the operator's page, which holds nothing that must be kept."""
        await self._page(ctx, "admin/index")

    async def login(self, ctx: RequestContext) -> None:
        """Answer with the page on which people begin a session, or ask for an account."""
        await self._page(ctx, "login/index")

    async def user(self, ctx: RequestContext) -> None:
        """Answer with the page of who has an account."""
        await self._page(ctx, "user/index")

    async def moved(self, ctx: RequestContext) -> None:
        """Lead to the same path with a slash, as the page is called."""
        to = {"Location": f"{ctx.request.path}/", "Content-Type": "text/plain"}
        await ctx.response.answer(_MOVED, to, b"")

    async def asset(self, ctx: RequestContext) -> None:
        """Answer with a file that a page uses; UnknownPath if there is none, or none any more."""
        await self._read()
        answer = self._site.asset(ctx.name or "", ctx.request.headers)
        if answer is None:
            raise UnknownPath(f"Nothing is served at {ctx.request.path}.")
        await self._send(ctx, answer)

    async def _page(self, ctx: RequestContext, name: str) -> None:
        await self._read()
        await self._send(ctx, self._site.page(name, ctx.request.headers))

    async def _read(self) -> None:
        # Not at the start of the gateway, which must be quick; and not on the event loop.
        if not self._site.is_read:
            await asyncio.to_thread(self._site.read)

    @staticmethod
    async def _send(ctx: RequestContext, answer: Answer) -> None:
        await ctx.response.answer(answer.status, answer.headers, answer.body)
