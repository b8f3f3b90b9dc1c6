"""What all handlers about accounts need: the caller, the body, pages of lists, answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from accounts.store.changes import Actor
from server.people.fields import Fields
from server.people.views import shown
from server.records.ended import as_csv
from server.records.pages import wants_csv
from server.uploads.body import read_body
from utils.errors import BadRequest, NotPermitted, NotStored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from accounts.patience import PatientAccounts
    from server.middleware import RequestContext

_LARGEST_BODY = 64 * 1024
_LARGEST_PAGE = 500
_USUAL_PAGE = 100
_OK = 200
# Answers of one account must not be shown to another.
_PRIVATE = {"Cache-Control": "no-store"}
_CSV = {"Content-Type": "text/csv; charset=utf-8"}


def wall() -> int:
    """Return the milliseconds since 1970."""
    return time.time_ns() // 1_000_000


async def fields_of(ctx: RequestContext) -> Fields:
    """Return the fields of the body; BadRequest if it is no JSON object."""
    return Fields(await read_body(ctx, _LARGEST_BODY))


def actor_of(ctx: RequestContext) -> Actor:
    """Return who changes something by this request."""
    caller = ctx.record.caller
    account = None if caller is None else caller.account_id
    key = None if caller is None else caller.key_id
    return Actor(wall(), account, key, ctx.record.address)


def account_of(ctx: RequestContext) -> int:
    """Return the account of the caller; NotPermitted if it has none, or not the scope ``read``."""
    caller = ctx.record.caller
    if caller is None or caller.account_id is None:
        raise NotPermitted("The admin token has no account; use a key or log in.")
    if not caller.may("read"):
        raise NotPermitted("The key may not read about its account (scope 'read').")
    return caller.account_id


def owner_of(ctx: RequestContext) -> int:
    """Return the account whose owner asks: by a session, or by a key with the scope ``admin``.

    NotPermitted for other keys: who finds one must not be able to make more.
    """
    account, caller = account_of(ctx), ctx.record.caller
    if caller is not None and caller.key_id is not None and not caller.may("admin"):
        raise NotPermitted("Only who is logged in may do this, not a key.")
    return account


def number_in_path(ctx: RequestContext, action: str = "") -> int:
    """Return the number in a path such as ``…/users/12/topup``; NotStored if there is none."""
    text = (ctx.name or "").removesuffix(f"/{action}" if action else "")
    if not text.isdecimal() or len(text) > 18:  # noqa: PLR2004 - digits of a column
        raise NotStored(f"There is nothing at {ctx.request.path}.")
    return int(text)


def action_in_path(ctx: RequestContext) -> str:
    """Return what follows the number in such a path, or ''."""
    return (ctx.name or "").partition("/")[2]


async def answer(ctx: RequestContext, value: Any, status: int = _OK) -> None:  # noqa: ANN401 - any JSON value
    """Answer with JSON that nobody keeps."""
    ctx.response.carry(_PRIVATE)
    await ctx.json(value, status)


async def answer_page(
    ctx: RequestContext,
    accounts: PatientAccounts,
    name: str,
    rows: Callable[[Any, int, int | None], list[dict[str, Any]]],
    view: Callable[[dict[str, Any]], dict[str, Any]] = shown,
) -> None:
    """Answer with a page of the list ``name``, and the ``cursor`` of the next in ``next``."""
    query = ctx.request.query
    limit = number_of(query.get("limit"), "limit") or _USUAL_PAGE
    if limit > _LARGEST_PAGE:
        raise BadRequest(f"limit is at most {_LARGEST_PAGE}.", param="limit")
    before = number_of(query.get("cursor"), "cursor")
    found = await accounts.read(lambda connection: rows(connection, limit + 1, before))
    more = found[limit - 1]["id"] if len(found) > limit else None
    page = [view(row) for row in found[:limit]]
    await answer(ctx, {name: page, "next": None if more is None else str(more)})


async def answer_table(
    ctx: RequestContext, name: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]
) -> None:
    """Answer with rows as JSON, or as CSV with these columns if the client wants that."""
    if not wants_csv(ctx):
        await answer(ctx, {name: list(rows)})
        return
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    await ctx.response.answer(_OK, {**_CSV, **_PRIVATE, **disposition}, as_csv(rows, columns))


def number_of(text: str | None, name: str) -> int | None:
    """Return a number of a query, None where it is not there; BadRequest if it is none."""
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 18 or int(text) == 0:  # noqa: PLR2004 - digits of a column
        raise BadRequest(f"{name} must be a whole number above 0.", param=name)
    return int(text)
