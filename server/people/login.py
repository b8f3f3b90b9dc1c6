"""``LoginHandlers``: sessions of pages, invites, one-use links, and requests for an account."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy.exc import IntegrityError

from accounts.keys import digest_of
from accounts.passwords import require_good
from accounts.store.changes import audit
from accounts.store.people import (
    Newcomer,
    SignedUp,
    add_signup,
    credentials,
    password_of,
    set_password,
    use_invite,
)
from accounts.store.sessions import use_link
from accounts.throttle import Throttle, place_of
from server.people.cookies import forget, is_https, keep, require_own, token_in
from server.people.frame import actor_of, answer, fields_of, owner_of, wall
from server.people.views import money_of
from utils.errors import AlreadyThere, LoginRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from accounts.parties import Account
    from accounts.passwords import Passwords
    from accounts.patience import PatientAccounts
    from accounts.sessions import Sessions
    from server.middleware import RequestContext

_HOUR = 3600 * 10**9
# Tries in a quarter of an hour by one address, and for one account.
_TRIES = 10
_SIGNUPS = 5
_ACCEPTED = 202
_CREATED = 201
_NOT_VALID = "This invite or link is not valid, or was used before."
_ACTIVE = "active"


class LoginHandlers:
    """Answers without a key; what it changes, only pages of the gateway itself may ask for.

    ``monotonic`` returns nanoseconds.
    """

    def __init__(
        self,
        accounts: PatientAccounts,
        sessions: Sessions,
        passwords: Passwords,
        monotonic: Callable[[], int],
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._logins = Throttle(_TRIES, _HOUR // 4, monotonic)
        self._signups = Throttle(_SIGNUPS, _HOUR, monotonic)

    async def look(self, ctx: RequestContext) -> None:
        """Answer with the account of the session, or null, and the host of the login provider."""
        token = token_in(ctx.request.headers)
        row = None if token is None else await self._sessions.find(token)
        account = None if row is None else self._accounts.book.accounts.get(row.account_id)
        if account is not None and account.status != _ACTIVE:
            account = None
        oidc = self._accounts.book.settings.oidc
        view = {
            "account": None if account is None else _account(account),
            "provider": None if oidc is None else urlsplit(oidc.issuer).hostname,
        }
        await answer(ctx, view)

    async def login(self, ctx: RequestContext) -> None:
        """Begin a session by e-mail address and password; LoginRefused says not what is wrong."""
        require_own(ctx)
        fields = await fields_of(ctx)
        email, password = fields.text("email", 320).lower(), fields.secret("password")
        fields.end()
        self._logins.take(_place(ctx), ("email", email))
        found = await self._accounts.read(lambda connection: credentials(connection, email))
        number, kept, status = found or (0, None, "")
        if not await self._passwords.fits(kept, password) or status != _ACTIVE:
            raise LoginRefused("E-mail address and password do not belong to an active account.")
        self._logins.forgive(("email", email))
        await self._begin(ctx, number)

    def count_try(self, ctx: RequestContext) -> None:
        """Count a try to log in by the client's address; TooManyLogins if there were too many."""
        self._logins.take(_place(ctx))

    async def logout(self, ctx: RequestContext) -> None:
        """End the session of the request, if it has one."""
        require_own(ctx)
        token = token_in(ctx.request.headers)
        if token is not None:
            await self._sessions.end(digest_of(token))
        ctx.response.carry({"Set-Cookie": forget(https=is_https(ctx))})
        await answer(ctx, {"account": None})

    async def invite(self, ctx: RequestContext) -> None:
        """Make the account of an invite, and begin a session of it."""
        require_own(ctx)
        fields = await fields_of(ctx)
        digest = digest_of(fields.secret("invite"))
        email, name, password = fields.mail(), fields.text("name"), fields.secret("password")
        fields.end()
        require_good(password)
        address = ctx.record.address
        self._logins.take(_place(ctx))
        newcomer = Newcomer(email, name, await self._passwords.hashed(password))
        now = wall()
        try:
            number = await self._accounts.write(
                lambda connection: use_invite(connection, digest, newcomer, now, address)
            )
        except IntegrityError:
            raise AlreadyThere(f"There is an account for {email} already; log in.") from None
        if number is None:
            raise LoginRefused(_NOT_VALID)
        await self._accounts.refresh()
        await self._begin(ctx, number, _CREATED)

    async def link(self, ctx: RequestContext) -> None:
        """Begin a session by a one-use link, and set a password if one is given."""
        require_own(ctx)
        fields = await fields_of(ctx)
        digest = digest_of(fields.secret("link"))
        password = fields.secret("password") if "password" in fields else None
        fields.end()
        self._logins.take(_place(ctx))
        # Before the link is used up.
        hashed = None if password is None else await self._passwords.hashed(password)
        now, actor = wall(), actor_of(ctx)

        def use(connection: Connection) -> int | None:
            account = use_link(connection, digest, now)
            if account is not None and hashed is not None:
                set_password(connection, actor, account, hashed)
            return account

        number = await self._accounts.write(use)
        account = None if number is None else self._accounts.book.accounts.get(number)
        if number is None or account is None or account.status != _ACTIVE:
            raise LoginRefused(_NOT_VALID)
        if hashed is not None:
            await self._sessions.end_all(number)
        await self._begin(ctx, number)

    async def signup(self, ctx: RequestContext) -> None:
        """Note a request for an account; the answer is the same for an address that is known."""
        require_own(ctx)
        fields = await fields_of(ctx)
        email, name = fields.mail(), fields.text("name")
        reason = fields.text("reason", 1000) if "reason" in fields else ""
        fields.end()
        address = ctx.record.address or ""
        self._signups.take(_place(ctx))
        signup = SignedUp(email, name, reason, sha256(address.encode()).digest())
        now = wall()
        await self._accounts.write(lambda connection: add_signup(connection, signup, now))
        await answer(ctx, {"received": True}, _ACCEPTED)

    async def password(self, ctx: RequestContext) -> None:
        """Set another password of the session's account, which ends its other sessions."""
        account, token = owner_of(ctx), token_in(ctx.request.headers)
        fields = await fields_of(ctx)
        old = fields.secret("old") if "old" in fields else ""
        new = fields.secret("new")
        fields.end()
        require_good(new)
        self._logins.take(("password", account))
        kept = await self._accounts.read(lambda connection: password_of(connection, account))
        if kept is not None and not await self._passwords.fits(kept, old):
            raise LoginRefused("The old password is wrong.")
        self._logins.forgive(("password", account))
        hashed, actor = await self._passwords.hashed(new), actor_of(ctx)
        await self._accounts.write(
            lambda connection: set_password(connection, actor, account, hashed)
        )
        mine = None if token is None else digest_of(token)
        await self._sessions.end_all(account, but=mine)
        await answer(ctx, {"changed": True})

    async def _begin(self, ctx: RequestContext, number: int, status: int = 200) -> None:
        """Begin a session, and answer with its account."""
        await self.enter(ctx, number)
        account = self._accounts.book.accounts.get(number)
        await answer(ctx, {"account": None if account is None else _account(account)}, status)

    async def enter(self, ctx: RequestContext, number: int) -> None:
        """Begin a new session by the cookie of the response; end the one that the browser had."""
        headers = ctx.request.headers
        token = await self._sessions.begin(number, headers.get("User-Agent", "")[:200])
        if (before := token_in(headers)) is not None:
            await self._sessions.end(digest_of(before))
        actor = actor_of(ctx)
        await self._accounts.write(
            lambda connection: audit(connection, actor, "session.begin", f"account:{number}")
        )
        ctx.response.carry({"Set-Cookie": keep(token, https=is_https(ctx))})


def _account(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "tier": account.tier.name,
        "admin": account.tier.admin,
        **money_of(account),
    }


def _place(ctx: RequestContext) -> tuple[str, str]:
    return "address", place_of(ctx.record.address)
