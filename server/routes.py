"""Every path that the gateway answers, as one literal list."""

from __future__ import annotations

from enum import Enum

from models.request import Kind


class Page(Enum):
    """The gateway's own pages."""

    MODELS = "models"
    HEALTH = "health"


# path → method → what answers
ROUTES: dict[str, dict[str, Kind | Page]] = {
    "/v1/chat/completions": {"POST": Kind.CHAT},
    "/v1/completions": {"POST": Kind.COMPLETION},
    "/v1/models": {"GET": Page.MODELS, "HEAD": Page.MODELS},
    "/health": {"GET": Page.HEALTH, "HEAD": Page.HEALTH},
}
