"""What a refusal of the hub means, as one table: tell it, or try again. Pure."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from utils.errors import (
    DiskFull,
    DownloadCorrupt,
    GatewayError,
    HubAccessNotGranted,
    HubAnsweredWrong,
    HubNotFound,
    HubTokenMissing,
    HubUnavailable,
    StorageFull,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE, _AFTER = "X-Error-Code", "Retry-After"
_GATED = "GatedRepo"
_UNAUTHORISED, _FORBIDDEN, _MISSING, _GONE = 401, 403, 404, 410
_FAILED = 500
# Too slow, too early, too often: these pass.
_PASSING = frozenset({408, 425, 429})
_LONGEST_WAIT = 60.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def passes(status: int) -> bool:
    """Return whether the same request may succeed a little later."""
    return status in _PASSING or status >= _FAILED


def wait_told(headers: Mapping[str, str]) -> float:
    """Return the seconds that the server asks to wait, 0 without any; never more than a minute."""
    text = headers.get(_AFTER, "").strip()
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else 0.0


def pause(failed: int, chance: float, told: float = 0.0) -> float:
    """Return the seconds before the next try after ``failed`` tries in a row without a new byte.

    ``chance`` is a number from 0 to 1, so that many clients do not come back together. The server's
    word counts if it asks for more.
    """
    return max(told, min(30.0, 2.0 ** min(failed, 5)) * (0.5 + chance / 2))


def refusal(
    status: int, headers: Mapping[str, str], about: str, page: str, *, token: bool
) -> GatewayError:
    """Return the error for a refusal that stays; ``about`` is what was asked for.

    ``page`` is the address where a person can ask for access. ``token`` says whether one was sent.
    """
    gated = headers.get(_CODE, "") == _GATED
    if status == _FORBIDDEN:
        return HubAccessNotGranted(
            f"The hub refuses access to {about}: ask for it at {page}, with the account of your "
            "token."
        )
    if status == _UNAUTHORISED and gated:
        what = "the token in HF_TOKEN is not valid" if token else "it needs a token in HF_TOKEN"
        return HubTokenMissing(f"{about} is for those with access only, and {what}: see {page}.")
    if status in {_UNAUTHORISED, _MISSING, _GONE}:
        # Without a token the hub does not say whether a private repository exists.
        hint = "" if token else ", or it is private and HF_TOKEN is not set"
        return HubNotFound(f"The hub has no {about}{hint}.", param="repo")
    return HubAnsweredWrong(f"The hub refuses {about} with status {status}.")


def unavailable(about: str, why: str, told: float = 0.0) -> HubUnavailable:
    """Return the error for a hub that could not be reached in all tries."""
    return HubUnavailable(f"{about} could not be fetched: {why}.", told or 30.0)


def corrupt(path: str, why: str) -> DownloadCorrupt:
    """Return the error for a file that arrived with other bytes twice."""
    return DownloadCorrupt(f"{path} is damaged on its way: {why}. It was tried twice.")


def cannot_write(path: str, error: OSError) -> GatewayError:
    """Return the error for a file that cannot be written."""
    reason = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return DiskFull(f"The disk is full: {path}. What was fetched is kept.")
    return StorageFull(f"{path} cannot be written: {reason}.")
