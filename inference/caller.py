"""Who asks, where requests need a key. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from engine.scheduling.queue import Priority


class Caller(Protocol):
    """Who asks, where requests need a key."""

    @property
    def client(self) -> str:
        """The same text for the same account."""
        ...

    @property
    def account_id(self) -> int | None:
        """The account; None for the admin token."""
        ...

    @property
    def key_id(self) -> int | None:
        """The key; None if it was asked in another way."""
        ...

    @property
    def tier(self) -> str:
        """The name of its tier; "" for the admin token."""
        ...

    @property
    def priority(self) -> Priority:
        """The place of its requests in the queue."""
        ...

    @property
    def pays(self) -> bool:
        """Whether answers are paid for."""
        ...

    @property
    def may_load(self) -> bool:
        """Whether engines are started for it."""
        ...

    def may(self, scope: str) -> bool:
        """Return whether the caller has this scope: ``inference``, ``read`` or ``admin``."""
        ...


@dataclass(frozen=True, slots=True)
class Exempt:
    """Somebody without an account, who may do everything and pays nothing."""

    client: str
    account_id: ClassVar[None] = None
    key_id: ClassVar[None] = None
    tier: ClassVar[str] = ""
    priority: ClassVar[Priority] = Priority.NORMAL
    pays: ClassVar[bool] = False
    may_load: ClassVar[bool] = True

    def may(self, scope: str) -> bool:
        """Return True."""
        del scope
        return True


# Who has the admin token, and the gateway where it asks a model for its own work.
OPERATOR = Exempt("admin")
GATEWAY = Exempt("gateway")
