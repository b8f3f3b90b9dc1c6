"""``OidcHandlers``: log in by the provider of ``accounts.oidc``."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from sqlalchemy import select

from accounts.oidc import (
    Attempt,
    authorization_url,
    endpoints_in,
    identity_in,
    may_join,
    new_attempt,
)
from accounts.store.changes import Actor, change_account, create_account
from accounts.tables import ACCOUNTS
from server.people.cookies import is_https
from server.people.frame import actor_of
from server.signposts import wants_page
from utils.errors import LoginRefused, NotStored
from utils.logger import get_logger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from accounts.oidc import Identity
    from accounts.parties import Account
    from accounts.patience import PatientAccounts
    from server.middleware import RequestContext
    from server.people.login import LoginHandlers
    from utils.config.accounts import OidcTable

_log = get_logger("accounts")
CALLBACK = "/login/oidc/callback"
_COOKIE = "gw-login"
_FOUND = 302
_OK = 200
# Seconds that a login may take, and that the provider may take to answer.
_PATIENCE = 600
_ANSWER = aiohttp.ClientTimeout(total=10)
_ROOM = 1000
_LARGEST = 256 * 1024
_ACTIVE = "active"


class OidcHandlers:
    """Sends the browser to the provider, and begins a session when it comes back."""

    def __init__(self, accounts: PatientAccounts, login: LoginHandlers) -> None:
        self._accounts = accounts
        self._login = login
        self._attempts: OrderedDict[str, tuple[Attempt, float]] = OrderedDict()

    async def begin(self, ctx: RequestContext) -> None:
        """Send the browser to the provider; LoginRefused if that does not answer."""
        settings = self._settings()
        self._login.count_try(ctx)
        try:
            endpoint, _ = await self._endpoints(settings)
        except LoginRefused as error:
            await _refuse(ctx, error)
            return
        attempt = new_attempt()
        self._attempts[attempt.state] = attempt, time.monotonic() + _PATIENCE
        while len(self._attempts) > _ROOM:
            self._attempts.popitem(last=False)
        url = authorization_url(endpoint, settings, attempt, _redirect(ctx))
        # Lax: the provider sends the browser back by a link.
        await _go(ctx, url, f"{_COOKIE}={attempt.state}; {_attributes(ctx, _PATIENCE)}")

    async def back(self, ctx: RequestContext) -> None:
        """Begin a session of who the provider says it is, and show that account's page.

        LoginRefused if it is nobody; a browser shows the login page then.
        """
        try:
            account = await self._entered(ctx)
        except LoginRefused as error:
            await _refuse(ctx, error)
        else:
            await _go(ctx, "/admin/" if account.tier.admin else "/user/")

    async def _entered(self, ctx: RequestContext) -> Account:
        settings, query = self._settings(), ctx.request.query
        state = query.get("state", "")
        attempt, until = self._attempts.pop(state, (None, 0.0))
        # The cookie shows that this browser began the login.
        cookie = f"{_COOKIE}={state}"
        mine = cookie in [each.strip() for each in ctx.request.headers.get("Cookie", "").split(";")]
        if attempt is None or time.monotonic() > until or not mine:
            raise LoginRefused("This login was not begun here, or took too long. Begin again.")
        if "code" not in query:
            raise LoginRefused("The login provider did not let you in.")
        _, endpoint = await self._endpoints(settings)
        token = await self._token(settings, endpoint, attempt, query["code"], _redirect(ctx))
        identity = identity_in(token, settings, attempt, time.time())
        actor = actor_of(ctx)
        number = await self._accounts.write(
            lambda connection: account_for(connection, actor, identity, settings)
        )
        await self._accounts.refresh()
        account = None if number is None else self._accounts.book.accounts.get(number)
        if number is None or account is None or account.status != _ACTIVE:
            raise LoginRefused("There is no active account for you here.")
        await self._login.enter(ctx, number)
        return account

    def _settings(self) -> OidcTable:
        settings = self._accounts.book.settings.oidc
        if settings is None:
            raise NotStored("There is no login provider: see accounts.oidc.")
        return settings

    async def _endpoints(self, settings: OidcTable) -> tuple[str, str]:
        url = f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        return endpoints_in(await _asked("GET", url), settings.issuer)

    async def _token(
        self, settings: OidcTable, endpoint: str, attempt: Attempt, code: str, redirect: str
    ) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "client_id": settings.client_id,
            "code_verifier": attempt.verifier,
        }
        if settings.client_secret is not None:
            form["client_secret"] = settings.client_secret
        answer = await _asked("POST", endpoint, form)
        token = answer.get("id_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise LoginRefused("The login provider gave no ID token.")
        return token


def account_for(
    connection: Connection, actor: Actor, identity: Identity, settings: OidcTable
) -> int | None:
    """Return the account of an identity; None where there is none, and none is made.

    An account that was made for the same e-mail address becomes that of the identity, unless it is
    that of another one already.
    """
    known = (ACCOUNTS.c.oidc_issuer == identity.issuer) & (
        ACCOUNTS.c.oidc_subject == identity.subject
    )
    number = connection.execute(select(ACCOUNTS.c.id).where(known)).scalar_one_or_none()
    if number is not None:
        return int(number)
    columns = {"oidc_issuer": identity.issuer, "oidc_subject": identity.subject}
    if identity.email is not None:
        same = ACCOUNTS.c.email == identity.email
        row = connection.execute(select(ACCOUNTS.c.id, ACCOUNTS.c.oidc_subject).where(same)).first()
        if row is not None:
            if row.oidc_subject is not None:
                return None
            change_account(connection, actor, row.id, columns)
            return int(row.id)
    if not may_join(identity, settings):
        return None
    columns["email"] = identity.email or ""
    return create_account(connection, actor, identity.name, settings.tier or "", columns)


def _redirect(ctx: RequestContext) -> str:
    return f"{ctx.address}{CALLBACK}"


def _attributes(ctx: RequestContext, seconds: int) -> str:
    secure = "Secure; " if is_https(ctx) else ""
    return f"{secure}Path=/login/; HttpOnly; SameSite=Lax; Max-Age={seconds}"


async def _refuse(ctx: RequestContext, error: LoginRefused) -> None:
    if not wants_page(ctx.request.headers):
        raise error
    _log.info("a login by the provider was refused: %s", error.message)
    await _go(ctx, "/login#refused")


async def _go(ctx: RequestContext, url: str, cookie: str | None = None) -> None:
    ctx.response.carry({"Cache-Control": "no-store"})
    if cookie is not None:
        ctx.response.carry({"Set-Cookie": cookie})
    await ctx.response.answer(_FOUND, {"Location": url}, b"")


async def _asked(method: str, url: str, form: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON of others
    """Return the JSON of the provider's answer; LoginRefused if there is none."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_ANSWER) as session,
            # A redirect could lead the secret elsewhere.
            session.request(method, url, data=form, allow_redirects=False) as answer,
        ):
            if answer.status != _OK:
                _log.warning("the login provider answered %s with %s", url, answer.status)
                raise LoginRefused("The login provider refused.")
            body = bytearray()
            # What is too long is cut off, and is no JSON then.
            while len(body) < _LARGEST and (piece := await answer.content.readany()):
                body += piece
            return orjson.loads(body)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        _log.warning("the login provider does not answer at %s: %s", url, error)
        raise LoginRefused("The login provider does not answer.") from None
