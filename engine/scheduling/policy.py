"""The numbers of the scheduler's rules, from the configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from utils.config.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of the scheduler's rules; times in seconds."""

    max_queue: int = 64
    shrink_after: float = 300.0
    shrink_requests: int = 4
    max_switch_wait: float = 0.0
    min_residency: float = 0.0


def policy_of(settings: ServerSettings) -> Policy:
    """Return the policy of the ``server`` table."""
    return Policy(
        settings.max_queue,
        settings.shrink_after,
        settings.shrink_requests,
        settings.max_switch_wait,
        settings.min_residency,
    )
