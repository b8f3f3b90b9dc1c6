"""``PeopleHandlers``: what admins see and do with accounts, keys, signups, prices and the audit."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError

from accounts.keys import digest_of
from accounts.money import as_text
from accounts.store.changes import (
    NoSuchAccount,
    add_money,
    audit,
    change_account,
    create_account,
    create_key,
    revoke_key,
    set_price,
)
from accounts.store.history import (
    audit_with_actors,
    invites_with_fates,
    signups_with_deciders,
)
from accounts.store.people import OPEN, add_invite, decide_signup
from accounts.store.reports import (
    GROUPS,
    account_row,
    accounts_page,
    key_row,
    keys_page,
    ledger_page,
    names_of,
    prices_page,
    usage_table,
)
from accounts.tables import ACCOUNTS, API_KEYS
from accounts.tiers import PAYG, tiers_of
from server.people.fields import OF_ACCOUNT, STATUSES, key_columns
from server.people.frame import (
    action_in_path,
    actor_of,
    answer,
    answer_page,
    answer_table,
    fields_of,
    number_in_path,
    number_of,
    wall,
)
from server.people.views import day_in, invite_row, price_row, shown, today, usage_row
from utils.errors import AlreadyThere, BadRequest, NotStored

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from accounts.patience import PatientAccounts
    from accounts.sessions import Sessions
    from server.middleware import RequestContext
    from server.people.fields import Fields

_CREATED = 201
_MONTH = 30
_WEEK = 7 * 24 * 3600 * 1000
_MOST_USES = 1000
_USAGE = (
    *("day", "account", "account_id", "key", "key_id", "model", "requests", "errors"),
    *("prompt_tokens", "cached_tokens", "completion_tokens", "cost", "load_seconds"),
    "first_seconds",
)
_KINDS = ("topup", "refund", "grant", "adjust")


class PeopleHandlers:
    """Answers on ``/admin/api``; the middleware has seen that an admin asks."""

    def __init__(self, accounts: PatientAccounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    # -- accounts ----------------------------------------------------------------------

    async def users(self, ctx: RequestContext) -> None:
        """Answer with accounts, by ``search``, ``tier`` and ``status``."""
        query = ctx.request.query
        await answer_page(
            ctx,
            self._accounts,
            "users",
            lambda connection, limit, before: accounts_page(connection, limit, before, query),
        )

    async def create_user(self, ctx: RequestContext) -> None:
        """Make an account, and answer with it and with a link for its first login."""
        fields = await fields_of(ctx)
        name, tier = fields.text("name"), self._tier(fields)
        columns = fields.columns(OF_ACCOUNT)
        if "email" in fields:
            columns["email"] = fields.mail()
        if "status" in fields:
            columns["status"] = fields.choice("status", STATUSES)
        amount = fields.money("balance") if "balance" in fields else 0
        fields.end()
        if amount < 0:
            raise BadRequest("'balance' must not be negative.", param="balance")
        actor = actor_of(ctx)

        def create(connection: Connection) -> int:
            number = create_account(connection, actor, name, tier, columns)
            if amount:
                source = f"grant:{number}:first"
                add_money(connection, actor, number, amount, kind="grant", source=source)
            return number

        number = await self._unique(create)
        link = await self._sessions.link(number)
        await answer(ctx, {**await self._user(number), "link": link}, _CREATED)

    async def user(self, ctx: RequestContext) -> None:
        """Answer with one account, or with what was booked for it (``…/ledger``)."""
        if action_in_path(ctx) == "ledger":
            number = number_in_path(ctx, "ledger")
            await answer_page(
                ctx,
                self._accounts,
                "ledger",
                lambda connection, limit, before: ledger_page(connection, limit, before, number),
            )
            return
        await answer(ctx, await self._user(number_in_path(ctx)))

    async def change_user(self, ctx: RequestContext) -> None:
        """Change an account, top it up (``…/topup``), or make a link to log in (``…/link``)."""
        action = action_in_path(ctx)
        if action == "topup":
            await self._top_up(ctx)
            return
        number = number_in_path(ctx, action)
        if action == "link":
            await self._link(ctx, number)
            return
        if action:
            raise NotStored(f"There is nothing at {ctx.request.path}.")
        fields = await fields_of(ctx)
        columns = fields.columns(OF_ACCOUNT)
        if "name" in fields:
            columns["name"] = fields.text("name")
        if "email" in fields:
            columns["email"] = fields.mail()
        if "tier" in fields:
            columns["tier"] = self._tier(fields)
        if "status" in fields:
            columns["status"] = fields.choice("status", STATUSES)
        fields.end()
        if not columns:
            raise BadRequest("The body names nothing to change.")
        actor = actor_of(ctx)
        await self._unique(lambda connection: change_account(connection, actor, number, columns))
        if columns.get("status") not in (None, "active"):
            await self._sessions.end_all(number)
        await answer(ctx, await self._user(number))

    async def _top_up(self, ctx: RequestContext) -> None:
        """Book an amount, once for each ``id`` that the client gives."""
        number, fields = number_in_path(ctx, "topup"), await fields_of(ctx)
        amount = fields.money("amount")
        kind = fields.choice("kind", _KINDS) if "kind" in fields else "topup"
        note = fields.text("note", 400) if "note" in fields else None
        source = fields.text("id", 60) if "id" in fields else secrets.token_hex(8)
        fields.end()
        if amount == 0 or (amount < 0 and kind != "adjust"):
            raise BadRequest("'amount' must be above 0; only 'adjust' may take.", param="amount")
        actor = actor_of(ctx)
        balance = await self._found(
            lambda connection: add_money(
                connection, actor, number, amount, kind=kind, source=f"{kind}:{source}", note=note
            )
        )
        await answer(ctx, {"id": source, "balance": as_text(balance)})

    async def _link(self, ctx: RequestContext, number: int) -> None:
        await self._user(number)
        link, actor = await self._sessions.link(number), actor_of(ctx)
        await self._accounts.write(lambda c: audit(c, actor, "account.link", f"account:{number}"))
        await answer(ctx, {"link": link}, _CREATED)

    # -- keys --------------------------------------------------------------------------

    async def keys(self, ctx: RequestContext) -> None:
        """Answer with keys, or those of ``account``."""
        account = number_of(ctx.request.query.get("account"), "account")
        await answer_page(
            ctx,
            self._accounts,
            "keys",
            lambda connection, limit, before: keys_page(connection, limit, before, account),
        )

    async def create_key(self, ctx: RequestContext) -> None:
        """Make a key of an account, and answer with it; it is told this once."""
        fields = await fields_of(ctx)
        account, name = fields.positive("account"), fields.text("name")
        columns, actor = key_columns(fields), actor_of(ctx)
        fields.end()
        await self._user(account)
        number, key = await self._found(
            lambda connection: create_key(connection, actor, account, name, columns)
        )
        made = {"id": number, "account": account, "name": name, "key": key.text}
        await answer(ctx, made, _CREATED)

    async def delete_key(self, ctx: RequestContext) -> None:
        """Revoke a key."""
        number, actor = number_in_path(ctx), actor_of(ctx)

        def revoke(connection: Connection) -> None:
            if key_row(connection, number) is None:
                raise NotStored(f"There is no key {number}.")
            revoke_key(connection, actor, number)

        await self._found(revoke)
        await answer(ctx, {"revoked": number})

    # -- signups and invites -----------------------------------------------------------

    async def signups(self, ctx: RequestContext) -> None:
        """Answer with requests for accounts: those that wait, or those in ``state``."""
        state = ctx.request.query.get("state", OPEN)
        await answer_page(
            ctx,
            self._accounts,
            "signups",
            lambda connection, limit, before: signups_with_deciders(
                connection, limit, before, None if state == "any" else state
            ),
        )

    async def decide(self, ctx: RequestContext) -> None:
        """Accept a request (``…/accept``), which makes an account and a link, or reject it."""
        action = action_in_path(ctx)
        number, fields, actor = number_in_path(ctx, action), await fields_of(ctx), actor_of(ctx)
        tier = None
        if action == "accept":
            tier = self._tier(fields) if "tier" in fields else PAYG
        elif action != "reject":
            raise NotStored(f"There is nothing at {ctx.request.path}.")
        fields.end()
        account = await self._unique(
            lambda connection: decide_signup(connection, actor, number, tier)
        )
        if account is None:
            await answer(ctx, {"rejected": number})
            return
        link = await self._sessions.link(account)
        await answer(ctx, {**await self._user(account), "link": link}, _CREATED)

    async def invites(self, ctx: RequestContext) -> None:
        """Answer with the invites and what became of them, without what makes them work."""
        await answer_page(
            ctx,
            self._accounts,
            "invites",
            lambda connection, limit, before: invites_with_fates(connection, limit, before, wall()),
            invite_row,
        )

    async def create_invite(self, ctx: RequestContext) -> None:
        """Make an invite, and answer with it; it is told this once."""
        fields = await fields_of(ctx)
        columns: dict[str, Any] = {"tier": self._tier(fields) if "tier" in fields else PAYG}
        columns["uses"] = fields.positive("uses") if "uses" in fields else 1
        columns["amount"] = fields.money("amount") if "amount" in fields else 0
        columns["expires_at"] = wall() + _WEEK
        if "expires_at" in fields:
            columns["expires_at"] = fields.moment("expires_at")
        fields.end()
        if columns["uses"] > _MOST_USES or columns["amount"] < 0:
            raise BadRequest(f"'uses' is at most {_MOST_USES}, and 'amount' 0 or more.")
        token, actor = secrets.token_urlsafe(32), actor_of(ctx)
        number = await self._accounts.write(
            lambda connection: add_invite(connection, actor, digest_of(token), columns)
        )
        await answer(ctx, {"id": number, "invite": token}, _CREATED)

    # -- prices, usage, audit ----------------------------------------------------------

    async def prices(self, ctx: RequestContext) -> None:
        """Answer with the prices that were set here, those of the past too."""
        model = ctx.request.query.get("model")
        await answer_page(
            ctx,
            self._accounts,
            "prices",
            lambda connection, limit, before: prices_page(connection, limit, before, model),
            price_row,
        )

    async def set_price(self, ctx: RequestContext) -> None:
        """Set the price of a model from now, or from ``valid_from``; for a million tokens."""
        fields = await fields_of(ctx)
        row: dict[str, Any] = {"model": fields.text("model", 200)}
        row["input"], row["output"] = fields.money("input"), fields.money("output")
        row["cached"] = fields.money("cached") if "cached" in fields else row["input"]
        row["per_request"] = fields.money("per_request") if "per_request" in fields else 0
        actor = actor_of(ctx)
        row["valid_from"] = actor.at
        if "valid_from" in fields:
            row["valid_from"] = fields.moment("valid_from")
        fields.end()
        if min(row[name] for name in ("input", "cached", "output", "per_request")) < 0:
            raise BadRequest("A price must not be negative.")
        if row["valid_from"] < actor.at:
            raise BadRequest("A price cannot hold for the past.", param="valid_from")
        number = await self._found(lambda connection: set_price(connection, actor, row))
        await answer(ctx, price_row({"id": number, **row}), _CREATED)

    async def usage(self, ctx: RequestContext) -> None:
        """Answer with sums of usage, by ``group`` (day, account, key, model), as JSON or CSV."""
        query, now = ctx.request.query, today(wall())
        first, last = day_in(query, "from", now - _MONTH + 1), day_in(query, "to", now)
        groups = _groups(query.get("group", "day,account,model"))
        account = number_of(query.get("account"), "account")

        def read(connection: Connection) -> list[dict[str, Any]]:
            rows = usage_table(
                connection,
                first,
                last,
                groups,
                account=account,
                model=query.get("model"),
            )
            keys = names_of(connection, API_KEYS, [row.get("key_id", 0) for row in rows])
            names = names_of(connection, ACCOUNTS, [row.get("account_id", 0) for row in rows])
            return [usage_row(row, keys, names) for row in rows]

        await answer_table(ctx, "usage", await self._accounts.read(read), _USAGE)

    async def audit(self, ctx: RequestContext) -> None:
        """Answer with who changed what, by ``action`` and ``object``."""
        query = ctx.request.query
        await answer_page(
            ctx,
            self._accounts,
            "audit",
            lambda connection, limit, before: audit_with_actors(connection, limit, before, query),
        )

    # -- inside ------------------------------------------------------------------------

    def _tier(self, fields: Fields) -> str:
        return fields.choice("tier", [*tiers_of(self._accounts.book.settings)])

    async def _user(self, number: int) -> dict[str, Any]:
        row = await self._accounts.read(lambda connection: account_row(connection, number))
        if row is None:
            raise NotStored(f"There is no account {number}.")
        return shown(row)

    async def _found(self, job: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 - of any job
        """Run a job that changes something, and take in the change; NotStored where it misses."""
        try:
            result = await self._accounts.write(job)
        except (NoSuchAccount, LookupError) as error:
            raise NotStored(f"There is nothing with the number {error}.") from None
        await self._accounts.refresh()
        return result

    async def _unique(self, job: Callable[[Connection], Any]) -> Any:  # noqa: ANN401 - of any job
        try:
            return await self._found(job)
        except IntegrityError:
            raise AlreadyThere("There is an account with this e-mail address.") from None


def _groups(text: str) -> tuple[str, ...]:
    known = {name.removesuffix("_id"): name for name in GROUPS}
    asked = text.split(",")
    if not {*asked} <= {*known}:
        raise BadRequest(f"group names some of {', '.join(known)}.", param="group")
    return tuple(name for short, name in known.items() if short in asked)
