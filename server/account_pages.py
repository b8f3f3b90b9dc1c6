"""``AccountPages``: what callers with a key can ask about their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accounts.generation import found_in, shown
from utils.errors import BadRequest, NotStored

if TYPE_CHECKING:
    from accounts.service import Accounts
    from server.middleware import RequestContext


class AccountPages:
    """Answers from the accounts."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def generation(self, ctx: RequestContext) -> None:
        """Answer with the tokens, times and price of the request ``?id=``, if it was the caller's.

        NotStored where there is none.
        """
        request_id = ctx.request.query.get("id", "")
        if not request_id:
            raise BadRequest("The query names no request: ?id=<X-Request-Id>.", param="id")
        rows: list[dict[str, Any]] = self._accounts.recent(request_id)
        if not rows:
            rows = await self._accounts.read(lambda connection: found_in(connection, request_id))
        caller = ctx.record.caller
        mine = caller is not None and (
            caller.account_id is None or all(r["account_id"] == caller.account_id for r in rows)
        )
        if not rows or not mine:
            raise NotStored(f"There is no request '{request_id}' of this account.")
        await ctx.json({"data": shown(request_id, rows)})
