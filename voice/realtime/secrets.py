"""``Secrets``: what a browser opens a session of the Realtime API with, in place of a key. Pure.

A program that has the key asks for one, with the session as it is to be, and gives it to the
browser. It opens one session, soon. ``now`` is a monotonic time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.errors import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.caller import Caller
    from voice.realtime.options import RealtimeOptions

# Secrets of one owner that nobody has used yet, and of all.
_MOST_OF_ONE, _MOST = 100, 10_000
_RETRY_AFTER = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Secret:
    """Opens a session with these options, for its owner, until a time."""

    value: str
    owner: str
    caller: Caller | None
    options: RealtimeOptions
    until: float


class Secrets:
    """All secrets that may still be used."""

    def __init__(self) -> None:
        self._secrets: dict[str, Secret] = {}

    def __len__(self) -> int:
        return len(self._secrets)

    def add(self, secret: Secret, now: float) -> None:
        """Add one; RateLimited if its owner, or all, have too many."""
        self._secrets = {name: each for name, each in self._secrets.items() if each.until > now}
        mine = sum(each.owner == secret.owner for each in self._secrets.values())
        if mine >= _MOST_OF_ONE or len(self._secrets) >= _MOST:
            raise RateLimited("Too many client secrets wait to be used.", _RETRY_AFTER, {})
        self._secrets[secret.value] = secret

    def find(self, value: str, now: float) -> Secret | None:
        """Return the secret; None if there is none, or it was used or has expired."""
        found = self._secrets.get(value)
        return found if found is not None and found.until > now else None

    def use(self, secret: Secret) -> None:
        """Use it up."""
        self._secrets.pop(secret.value, None)

    def revoke(self, good: Callable[[Caller], bool]) -> None:
        """Forget the secrets of callers that are not good any more."""
        for each in tuple(self._secrets.values()):
            if each.caller is not None and not good(each.caller):
                self.use(each)
