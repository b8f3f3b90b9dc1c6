"""``UserHandlers``: what the owner of an account sees and does, by a session or a key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from accounts.keys import allows, digest_of
from accounts.parties import Key
from accounts.prices import price_told
from accounts.store.changes import audit, create_key, revoke_key
from accounts.store.reports import account_row, key_row, keys_page, names_of, usage_table
from accounts.store.sessions import sessions_of
from accounts.tables import API_KEYS
from server.people.cookies import token_in
from server.people.fields import key_columns
from server.people.frame import (
    account_of,
    action_in_path,
    actor_of,
    answer,
    answer_page,
    answer_table,
    fields_of,
    number_in_path,
    owner_of,
    wall,
)
from server.people.views import (
    budget_view,
    day_in,
    level_view,
    money_of,
    shown,
    today,
    usage_row,
)
from utils.errors import NotPermitted, NotStored

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from accounts.parties import Account, Limits
    from accounts.patience import PatientAccounts
    from accounts.sessions import Sessions
    from server.middleware import RequestContext

_CREATED = 201
_MONTH = 30
_USAGE = (
    *("day", "model", "key", "key_id", "requests", "errors", "prompt_tokens", "cached_tokens"),
    *("completion_tokens", "cost", "load_seconds", "first_seconds"),
)
_HIDDEN = ("account_id",)


class UserHandlers:
    """Answers on ``/user/api``; the caller is known, and sees its own account alone."""

    def __init__(self, accounts: PatientAccounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def me(self, ctx: RequestContext) -> None:
        """Answer with the account: its tier, its money, its limits."""
        account = self._account(ctx)
        row = await self._accounts.read(lambda connection: account_row(connection, account.id))
        view = shown(row or {})
        view["currency"] = self._accounts.book.settings.currency
        view |= {"tier_pays": account.tier.pays, "admin": account.tier.admin, **money_of(account)}
        caller = ctx.record.caller
        view["key"] = None
        if isinstance(caller, Key) and caller.id is not None:
            view["key"] = {"id": caller.id, "name": caller.name, "scopes": sorted(caller.scopes)}
        await answer(ctx, view)

    async def usage(self, ctx: RequestContext) -> None:
        """Answer with the sums of each day, model and key, from day ``from`` to ``to``."""
        account, query, now = account_of(ctx), ctx.request.query, today(wall())
        first, last = day_in(query, "from", now - _MONTH + 1), day_in(query, "to", now)
        model = query.get("model")

        def read(connection: Connection) -> tuple[list[dict[str, Any]], dict[int, str]]:
            groups = ("day", "key_id", "model")
            rows = usage_table(connection, first, last, groups, account=account, model=model)
            return rows, names_of(connection, API_KEYS, [row["key_id"] for row in rows])

        rows, names = await self._accounts.read(read)
        await answer_table(ctx, "usage", [usage_row(row, names, {}) for row in rows], _USAGE)

    async def models(self, ctx: RequestContext) -> None:
        """Answer with the models that the caller may use, and what they cost."""
        account, caller = self._account(ctx), ctx.record.caller
        own = [account.models, caller.models if isinstance(caller, Key) else None]
        catalog, able = ctx.configuration.catalog, ctx.configuration.able
        prices = self._accounts.book
        found = [
            {
                "name": model.name,
                "aliases": list(model.aliases),
                "context_length": model.largest.context,
                "capabilities": able[model.name].shown(),
                "price": price_told(prices.price(model.name)) if account.tier.pays else None,
            }
            for model in catalog.models
            if all(patterns is None or allows(patterns, model.name) for patterns in own)
        ]
        await answer(ctx, {"models": found})

    async def ratelimit(self, ctx: RequestContext) -> None:
        """Answer with what is left of each limit now."""
        account, caller = self._account(ctx), ctx.record.caller
        key = caller if isinstance(caller, Key) and caller.id is not None else None
        await answer(
            ctx,
            {
                "account": _limits(account.limits),
                "key": None if key is None else _limits(key.limits),
            },
        )

    # -- keys --------------------------------------------------------------------------

    async def keys(self, ctx: RequestContext) -> None:
        """Answer with the account's keys, without what makes them work."""
        account = account_of(ctx)
        await answer_page(
            ctx,
            self._accounts,
            "keys",
            lambda connection, limit, before: keys_page(connection, limit, before, account),
            _key,
        )

    async def create_key(self, ctx: RequestContext) -> None:
        """Make a key, and answer with it; it is told this once."""
        account = self._account(ctx, owner_of(ctx))
        fields = await fields_of(ctx)
        name, columns, actor = fields.text("name"), key_columns(fields), actor_of(ctx)
        fields.end()
        _require_scopes(account, columns)
        number, key = await self._accounts.write(
            lambda connection: create_key(connection, actor, account.id, name, columns)
        )
        await self._accounts.refresh()
        await answer(ctx, {"id": number, "name": name, "key": key.text}, _CREATED)

    async def change_key(self, ctx: RequestContext) -> None:
        """Rotate a key: another takes its place, and it works no more."""
        account = self._account(ctx, owner_of(ctx))
        if action_in_path(ctx) != "rotate":
            raise NotStored(f"There is nothing at {ctx.request.path}.")
        number, actor = number_in_path(ctx, "rotate"), actor_of(ctx)

        def rotate(connection: Connection) -> tuple[int, str, str]:
            row = key_row(connection, number)
            if row is None or row["account_id"] != account.id or row["revoked_at"] is not None:
                raise NotStored(f"There is no key {number}.")
            made = {
                "id",
                "account_id",
                "name",
                "prefix",
                "created_at",
                "last_used_at",
                "revoked_at",
            }
            columns = {name: value for name, value in row.items() if name not in made}
            _require_scopes(account, columns)
            made_number, key = create_key(connection, actor, account.id, row["name"], columns)
            revoke_key(connection, actor, number)
            return made_number, row["name"], key.text

        new, name, text = await self._accounts.write(rotate)
        await self._accounts.refresh()
        await answer(ctx, {"id": new, "name": name, "key": text, "revoked": number}, _CREATED)

    async def delete_key(self, ctx: RequestContext) -> None:
        """Revoke a key; requests under way go on."""
        account, number, actor = owner_of(ctx), number_in_path(ctx), actor_of(ctx)

        def revoke(connection: Connection) -> None:
            row = key_row(connection, number)
            if row is None or row["account_id"] != account:
                raise NotStored(f"There is no key {number}.")
            revoke_key(connection, actor, number)

        await self._accounts.write(revoke)
        await self._accounts.refresh()
        await answer(ctx, {"revoked": number})

    # -- sessions ----------------------------------------------------------------------

    async def sessions(self, ctx: RequestContext) -> None:
        """Answer with the sessions of the account."""
        account, now, token = account_of(ctx), wall(), token_in(ctx.request.headers)
        rows = await self._accounts.read(lambda c: sessions_of(c, account, now))
        mine = None if token is None else digest_of(token)
        found = [
            {
                "id": row.id,
                "created_at": row.created_at / 1000,
                "seen_at": row.seen_at / 1000,
                "expires_at": row.expires_at / 1000,
                "agent": row.agent,
                "current": row.digest == mine,
            }
            for row in rows
        ]
        await answer(ctx, {"sessions": found})

    async def end_session(self, ctx: RequestContext) -> None:
        """End the session that the path names, or with ``others`` all but the present one."""
        account, now, token = owner_of(ctx), wall(), token_in(ctx.request.headers)
        if ctx.name == "others":
            mine = None if token is None else digest_of(token)
            await answer(ctx, {"ended": await self._sessions.end_all(account, but=mine)})
            return
        rows = await self._accounts.read(lambda c: sessions_of(c, account, now))
        found = next((row for row in rows if row.id == ctx.name), None)
        if found is None or not await self._sessions.end(found.digest):
            raise NotStored("There is no such session.")
        actor = actor_of(ctx)
        await self._accounts.write(lambda c: audit(c, actor, "session.end", f"account:{account}"))
        await answer(ctx, {"ended": 1})

    async def ticket(self, ctx: RequestContext) -> None:
        """Answer with a ticket that opens one websocket: browsers send no key with those."""
        await answer(ctx, {"ticket": self._sessions.ticket(account_of(ctx))}, _CREATED)

    # -- inside ------------------------------------------------------------------------

    def _account(self, ctx: RequestContext, number: int | None = None) -> Account:
        number = account_of(ctx) if number is None else number
        account = self._accounts.book.accounts.get(number)
        if account is None:
            raise NotPermitted("The account is gone.")
        return account


def _require_scopes(account: Account, columns: dict[str, Any]) -> None:
    """Return if the account may have a key with these columns, else NotPermitted."""
    if "admin" in str(columns.get("scopes", "")).split() and not account.tier.admin:
        raise NotPermitted("Only keys of admins may have the scope 'admin'.")


def _limits(limits: Limits) -> dict[str, Any]:
    now = time.monotonic_ns()
    return {
        "requests": level_view(limits.requests.level(now) if limits.requests else None),
        "tokens": level_view(limits.tokens.level(now) if limits.tokens else None),
        "concurrency": limits.concurrency,
        "active": limits.active,
        "budget": budget_view(limits.budget, wall()),
    }


def _key(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown(row).items() if name not in _HIDDEN}
