"""Who asks: the key of a request, or the admin token, and whether they may. Pure.

Every bad key gets the same error. The owner of a good one is told if the account is blocked.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from accounts.admission import ACTIVE
from accounts.keys import presented
from accounts.parties import Key
from inference.caller import OPERATOR
from utils.errors import KeyRefused, NotPermitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from accounts.book import Book
    from inference.caller import Caller


def caller_of(headers: Mapping[str, str], book: Book, tokens: Iterable[str]) -> Caller:
    """Return who asks; ``tokens`` are those of operators. KeyRefused where it is nobody."""
    text = presented(headers)
    if text is not None and (key := book.key(text)) is not None:
        return key
    offered = [each.encode("utf-8", "surrogateescape") for each in _offered(text, headers)]
    # All are compared, in constant time, so that the time tells nothing about a token.
    found = [hmac.compare_digest(each, token.encode()) for token in tokens for each in offered]
    if any(found):
        return OPERATOR
    raise KeyRefused


def require_active(caller: Caller) -> None:
    """Return if the caller's account is active, or it has none; else NotPermitted says so."""
    if isinstance(caller, Key) and caller.account.status != ACTIVE:
        raise NotPermitted(f"The account is {caller.account.status}.")


def _offered(text: str | None, headers: Mapping[str, str]) -> list[str]:
    return [text or "", headers.get("X-Admin-Token", "")]
