"""``People``: who uses the gateway by a browser, and the handlers about accounts."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from accounts.keys import digest_of, presented
from accounts.passwords import Passwords
from accounts.patience import PatientAccounts
from accounts.sessions import Sessions, visitor_of
from accounts.store.changes import Actor
from accounts.store.people import add_invite, drop_invites, has_admin
from server.people.admin import PeopleHandlers
from server.people.cookies import require_own, token_in
from server.people.frame import wall
from server.people.login import LoginHandlers
from server.people.oidc import OidcHandlers
from server.people.routes import PeopleRoutes
from server.people.user import UserHandlers
from utils.errors import AccountsUnavailable
from utils.logger import get_logger

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from accounts.parties import Key
    from accounts.service import Accounts
    from server.middleware import RequestContext

_log = get_logger("accounts")
_DAY = 24 * 3600 * 1000
# With one of these, a request says itself who asks.
_OTHERWISE = ("Authorization", "X-Api-Key", "X-Admin-Token")


class People:
    """``routes`` are the paths about accounts."""

    def __init__(self, everything: Accounts) -> None:
        self._accounts = accounts = PatientAccounts(everything)
        self._sessions = sessions = Sessions(accounts)
        login = LoginHandlers(accounts, sessions, Passwords(), time.monotonic_ns)
        self.routes = PeopleRoutes(
            login,
            UserHandlers(accounts, sessions),
            PeopleHandlers(accounts, sessions),
            OidcHandlers(accounts, login),
        )

    async def visitor(self, ctx: RequestContext, *, upgrade: bool) -> Key | None:
        """Return who asks by a session, or by a ticket for a websocket; None if nobody does.

        OriginRefused if a page from elsewhere uses the session to change something.
        """
        headers = ctx.request.headers
        if any(name in headers for name in _OTHERWISE) or (upgrade and presented(headers)):
            return None
        if upgrade and (ticket := ctx.request.query.get("ticket")) is not None:
            account = self._sessions.redeem(ticket)
            return None if account is None else visitor_of(self._accounts.book, account)
        token = token_in(headers)
        row = None if token is None else await self._sessions.find(token)
        if row is None:
            return None
        found = visitor_of(self._accounts.book, row.account_id)
        if found is not None:
            # Browsers let pages of other origins open a websocket.
            require_own(ctx, "CONNECT" if upgrade else None)
        return found

    async def welcome(self, url: str) -> None:
        """Where there is no admin yet, log an invite for the first, which is good for a day.

        An invite that an earlier run has logged is not valid any more.
        """
        token = secrets.token_urlsafe(32)

        def invite(connection: Connection) -> bool:
            if has_admin(connection):
                return False
            now = wall()
            drop_invites(connection, "admin")
            columns = {"tier": "admin", "uses": 1, "expires_at": now + _DAY}
            add_invite(connection, Actor(now), digest_of(token), columns)
            return True

        try:
            invited = await self._accounts.write(invite)
        except AccountsUnavailable as error:
            _log.warning("whether there is an admin is not known: %s", error.message)
            return
        if invited:
            # After the #, so that no browser sends it, and no proxy logs it.
            _log.warning("there is no admin yet: within a day, open %s/login#invite=%s", url, token)
