"""The paths about accounts, as tables for ``server/routes.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.routes import Route

if TYPE_CHECKING:
    from server.people.admin import PeopleHandlers
    from server.people.login import LoginHandlers
    from server.people.oidc import OidcHandlers
    from server.people.user import UserHandlers
    from server.routes import Methods


class PeopleRoutes:
    """``exact`` and ``below``, as in ``Routes``."""

    def __init__(
        self,
        login: LoginHandlers,
        user: UserHandlers,
        admin: PeopleHandlers,
        oidc: OidcHandlers,
    ) -> None:
        self.exact: dict[str, Methods] = {
            "/login/api/session": {"GET": Route(login.look)},
            "/login/api/login": {"POST": Route(login.login)},
            "/login/api/logout": {"POST": Route(login.logout)},
            "/login/api/invite": {"POST": Route(login.invite)},
            "/login/api/link": {"POST": Route(login.link)},
            "/login/oidc": {"GET": Route(oidc.begin)},
            "/login/oidc/callback": {"GET": Route(oidc.back)},
            "/api/signup": {"POST": Route(login.signup)},
            "/user/api/me": {"GET": Route(user.me)},
            "/user/api/usage": {"GET": Route(user.usage)},
            "/user/api/models": {"GET": Route(user.models)},
            "/user/api/ratelimit": {"GET": Route(user.ratelimit)},
            "/user/api/keys": {"GET": Route(user.keys), "POST": Route(user.create_key)},
            "/user/api/sessions": {"GET": Route(user.sessions)},
            "/user/api/password": {"POST": Route(login.password)},
            "/user/api/tickets": {"POST": Route(user.ticket)},
            "/admin/api/users": {"GET": Route(admin.users), "POST": Route(admin.create_user)},
            "/admin/api/keys": {"GET": Route(admin.keys), "POST": Route(admin.create_key)},
            "/admin/api/signups": {"GET": Route(admin.signups)},
            "/admin/api/invites": {"GET": Route(admin.invites), "POST": Route(admin.create_invite)},
            "/admin/api/prices": {"GET": Route(admin.prices), "POST": Route(admin.set_price)},
            "/admin/api/usage": {"GET": Route(admin.usage)},
            "/admin/api/audit": {"GET": Route(admin.audit)},
        }
        self.below: dict[str, Methods] = {
            "/user/api/keys/": {
                "POST": Route(user.change_key),
                "DELETE": Route(user.delete_key),
            },
            "/user/api/sessions/": {"DELETE": Route(user.end_session)},
            "/admin/api/users/": {
                "GET": Route(admin.user),
                "POST": Route(admin.change_user),
                "PATCH": Route(admin.change_user),
            },
            "/admin/api/keys/": {"DELETE": Route(admin.delete_key)},
            "/admin/api/signups/": {"POST": Route(admin.decide)},
        }
