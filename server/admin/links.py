"""``LinkHandlers``: links to the admin page, and what the page gets for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.admin.params import params_in
from server.uploads.body import read_body
from utils.errors import NotAuthenticated

if TYPE_CHECKING:
    from server.admin.grants import Grants
    from server.middleware import RequestContext

# Seconds.
_SOON = 120
_LARGEST = 4096


def page_url(address: str, token: str) -> str:
    """Return the link; what follows the # is sent to no server, and no proxy logs it."""
    return f"{address}/admin/#link={token}"


class LinkHandlers:
    """Makes links for who is an operator already, and grants for who has one."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    async def create(self, ctx: RequestContext) -> None:
        """Answer with a link to the admin page that is good once and soon."""
        url = page_url(ctx.address, self._grants.link(_SOON))
        await ctx.json({"url": url, "expires_in": _SOON})

    async def redeem(self, ctx: RequestContext) -> None:
        """Answer a link's token with a grant; NotAuthenticated if it is not good any more."""
        params = params_in(await read_body(ctx, _LARGEST))
        token = params.text("link", 'the link\'s token: {"link": "…"}')
        params.end()
        grant = self._grants.redeem(token)
        if grant is None:
            raise NotAuthenticated("This link was used already, or it is too old.")
        await ctx.json({"token": grant})
