"""The table of routes, with the names of handlers in place of the handlers."""

from __future__ import annotations

from typing import Any

from server.routes import Routes, routes


class _Named:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, handler: str) -> str:
        return f"{self._name}.{handler}"


def named_routes() -> Routes:
    """Return the table; for an inference request it has the endpoint."""
    names = """passthrough streams sockets status messages ollama pages_of_ollama lm_studio admin
    models responses conversations records routing captures slots pages links voice"""
    rooms: list[Any] = [_Named(name) for name in names.split()]
    inference: Any = lambda asked: asked  # noqa: E731 - stands for a method
    return routes(inference, *rooms)
