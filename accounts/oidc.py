"""Log in by an OpenID Connect provider: the code flow with PKCE. Pure.

The ID token comes from the provider itself, over a connection that TLS has verified. Its signature
need not be checked then (OpenID Connect Core 1.0, 3.1.3.7), so no keys are fetched and no
cryptography is needed beside TLS. A provider without TLS is refused, but on this machine.
"""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from utils.errors import LoginRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from utils.config.accounts import OidcTable

SCOPE = "openid email profile"
# Seconds that the clocks of two machines may differ.
_SKEW = 120
_PARTS = 3


class Attempt(NamedTuple):
    """One login under way: what the provider and the browser must bring back."""

    state: str
    nonce: str
    verifier: str


class Identity(NamedTuple):
    """Who logged in. ``email`` is None unless the provider has verified it."""

    issuer: str
    subject: str
    email: str | None
    name: str


def new_attempt() -> Attempt:
    """Return an attempt that nobody can guess."""
    return Attempt(*(secrets.token_urlsafe(32) for _ in range(3)))


def authorization_url(endpoint: str, settings: OidcTable, attempt: Attempt, redirect: str) -> str:
    """Return where the browser goes to log in."""
    challenge = urlsafe_b64encode(sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": redirect,
        "scope": SCOPE,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def endpoints_in(document: Any, issuer: str) -> tuple[str, str]:  # noqa: ANN401 - JSON of others
    """Return the authorization and the token endpoint of a provider's own description.

    LoginRefused if it is not that of this issuer, or if the token would come without TLS.
    """
    try:
        named, login, token = (
            str(document[name]) for name in ("issuer", "authorization_endpoint", "token_endpoint")
        )
    except (TypeError, KeyError):
        raise LoginRefused("The login provider does not describe itself.") from None
    if named.rstrip("/") != issuer.rstrip("/"):
        raise LoginRefused("The login provider says that it is another one.")
    if not (is_safe(token) and is_safe(login)):
        raise LoginRefused("The login provider does not use https.")
    return login, token


def identity_in(token: str, settings: OidcTable, attempt: Attempt, now: float) -> Identity:
    """Return who the ID token of this attempt is about; LoginRefused if it is not valid.

    ``now`` is in seconds since 1970.
    """
    claims = _claims(token)
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires = claims.get("exp")
    valid = (
        str(claims.get("iss", "")).rstrip("/") == settings.issuer.rstrip("/")
        and settings.client_id in audiences
        and (len(audiences) == 1 or claims.get("azp") == settings.client_id)
        and isinstance(expires, int | float)
        and expires > now - _SKEW
        and secrets.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode())
    )
    subject = claims.get("sub")
    if not valid or not isinstance(subject, str) or not 0 < len(subject) <= 255:  # noqa: PLR2004 - as in the standard
        raise LoginRefused("The login provider's answer is not valid.")
    email = claims.get("email") if claims.get("email_verified") is True else None
    email = email.strip().lower() if isinstance(email, str) and "@" in email else None
    name = claims.get("name") or claims.get("preferred_username") or email or subject
    return Identity(settings.issuer, subject, email, str(name)[:120])


def may_join(identity: Identity, settings: OidcTable) -> bool:
    """Return whether somebody without an account gets one."""
    if not settings.tier or identity.email is None:
        return False
    domain = identity.email.rpartition("@")[2]
    return not settings.domains or domain in {each.lower() for each in settings.domains}


def is_safe(url: str) -> bool:
    """Return whether TLS protects what goes to the URL, or it does not leave this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    try:
        return parts.scheme == "http" and ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.scheme == "http" and parts.hostname == "localhost"


def _claims(token: str) -> Mapping[str, Any]:
    parts = token.split(".")
    try:
        text = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = json.loads(text)
    except (ValueError, IndexError):
        claims = None
    if len(parts) != _PARTS or not isinstance(claims, dict):
        raise LoginRefused("The login provider's answer is no ID token.")
    return claims
