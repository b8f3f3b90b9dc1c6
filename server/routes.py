"""Every path that the gateway answers, as one literal list."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from models.requests.endpoints import BY_PATH, Endpoint

if TYPE_CHECKING:
    from collections.abc import Container

# Which pages of one engine are shown under its model's name.
_SHOWN = ("/health", "/props", "/slots")
_UPSTREAM = "/upstream/"
# More parts than that no model's name has.
_DEEPEST = 8


class Page(Enum):
    """The gateway's own pages."""

    MODELS = "models"
    HEALTH = "health"
    ENGINE = "engine"
    STREAM = "stream"
    STREAMS = "streams"
    CONTROL = "control"


# path → method → what answers
ROUTES: dict[str, dict[str, Endpoint | Page]] = {
    **{path: {"POST": endpoint} for path, endpoint in BY_PATH.items()},
    "/v1/models": {"GET": Page.MODELS, "HEAD": Page.MODELS},
    "/models": {"GET": Page.MODELS, "HEAD": Page.MODELS},
    "/health": {"GET": Page.HEALTH, "HEAD": Page.HEALTH},
    "/v1/health": {"GET": Page.HEALTH, "HEAD": Page.HEALTH},
    # Of the engine that was started last, or of ?model=.
    "/props": {"GET": Page.ENGINE, "HEAD": Page.ENGINE},
    "/slots": {"GET": Page.ENGINE, "HEAD": Page.ENGINE},
    # Of the engine that holds ?conv_id=.
    "/v1/stream": {"GET": Page.STREAM, "DELETE": Page.STREAM},
    "/v1/streams/lookup": {"POST": Page.STREAMS},
    # Of the engine that writes the completion.
    "/v1/chat/completions/control": {"POST": Page.CONTROL},
}


class Admin(Enum):
    """What operators see and do; see server/admin/handlers.py."""

    RUNNING = "running"
    LOAD = "load"
    UNLOAD = "unload"
    RELOAD = "reload"
    CONFIG = "config"
    LOGS = "logs"
    LOG_STREAM = "log stream"
    EVENTS = "events"
    METRICS = "metrics"


ADMIN: dict[str, dict[str, Admin]] = {
    "/running": {"GET": Admin.RUNNING, "HEAD": Admin.RUNNING},
    "/admin/load": {"POST": Admin.LOAD},
    "/admin/unload": {"POST": Admin.UNLOAD},
    "/admin/reload": {"POST": Admin.RELOAD},
    "/admin/config/reload": {"POST": Admin.CONFIG},
    "/logs": {"GET": Admin.LOGS, "HEAD": Admin.LOGS},
    "/logs/stream": {"GET": Admin.LOG_STREAM},
    "/events": {"GET": Admin.EVENTS},
    "/metrics": {"GET": Admin.METRICS, "HEAD": Admin.METRICS},
}
_REQUESTS = "/admin/requests/"


def is_admin(path: str) -> bool:
    """Whether the path is for operators alone, even where nothing is served."""
    return path in ADMIN or path.startswith(("/admin/", "/logs/"))


def request_in(path: str) -> str | None:
    """The id that ``/admin/requests/{id}`` names, or None for other paths."""
    name = path.removeprefix(_REQUESTS)
    return name if name and name != path else None


def model_in(path: str) -> str | None:
    """The model that ``/v1/models/{id}`` names, or None for other paths; ids may hold slashes."""
    for prefix in ("/v1/models/", "/models/"):
        if path.startswith(prefix) and len(path) > len(prefix):
            return path.removeprefix(prefix)
    return None


def page_of_model(path: str, models: Container[str]) -> tuple[str, str] | None:
    """Model and page of ``/<model>/props`` and the like; None for other paths."""
    for page in _SHOWN:
        if path.endswith(page) and (name := path.removesuffix(page)[1:]) in models:
            return name, page
    return None


def upstream_of(raw_path: str, models: Container[str]) -> tuple[str, str] | None:
    """Model and engine's path of ``/upstream/<model>/…``; None for other paths.

    Names may hold slashes: the longest that is known counts, else the first part, which is
    then unknown. The engine's path stays as it was written.
    """
    if not raw_path.startswith(_UPSTREAM):
        return None
    parts = raw_path.removeprefix(_UPSTREAM).split("/", _DEEPEST)
    for count in range(len(parts), 0, -1):
        name = unquote("/".join(parts[:count]))
        if name in models:
            return name, "/" + "/".join(parts[count:])
    return unquote(parts[0]), "/"
