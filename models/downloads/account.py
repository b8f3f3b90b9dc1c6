"""The user's settings for the hub: its address, the token, the cache, whether to ask at all. Pure.

They are the variables of the hub's own programs, so that what is set up for these counts here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from models.discovery.stores import HUB, stores

if TYPE_CHECKING:
    from models.discovery.stores import Machine

ENDPOINT = "https://huggingface.co"
_YES = frozenset({"1", "ON", "YES", "TRUE"})


@dataclass(frozen=True, slots=True)
class HubAccount:
    """Where the hub is, who asks, and where what it sends is kept; ``offline``: ask nothing."""

    cache: str
    endpoint: str = ENDPOINT
    token: str = field(default="", repr=False)
    offline: bool = False

    def is_hub(self, url: str) -> bool:
        """Return whether the token may go to this address: only to the hub's own host."""
        return urlsplit(url)[:2] == urlsplit(self.endpoint)[:2]

    def page(self, repo: str) -> str:
        """Return the address of the repository's page."""
        return f"{self.endpoint}/{repo}"


def token_file(machine: Machine) -> str:
    """Return the path of the file that holds the token if no variable does."""
    path = (
        machine.named("HF_TOKEN_PATH")
        or machine.named("HF_HOME", "token")
        or machine.named("XDG_CACHE_HOME", "huggingface", "token")
        or machine.path("~", ".cache", "huggingface", "token")
    )
    return str(path)


def account(machine: Machine, stored_token: str = "") -> HubAccount:
    """Return the account that the machine's variables say; ``stored_token`` is the file's."""
    said = machine.environ
    cache = stores(machine, (HUB,))[0].path
    endpoint = said.get("HF_ENDPOINT", "").strip().rstrip("/") or ENDPOINT
    token = said.get("HF_TOKEN", "").strip() or stored_token.strip()
    # A line break in it would be a header of its own.
    token = token if token.isascii() and token.isprintable() and " " not in token else ""
    offline = said.get("HF_HUB_OFFLINE", "").strip().upper() in _YES
    return HubAccount(cache, endpoint, token, offline)
