"""server/routes.py: the literal list of paths."""

from __future__ import annotations

from models.request import Kind
from server.routes import ROUTES, Page


def test_the_paths_and_methods_that_are_answered() -> None:
    assert {path: {m: what.value for m, what in row.items()} for path, row in ROUTES.items()} == {
        "/v1/chat/completions": {"POST": "chat"},
        "/v1/completions": {"POST": "completion"},
        "/v1/models": {"GET": "models", "HEAD": "models"},
        "/health": {"GET": "health", "HEAD": "health"},
    }


def test_everything_that_can_be_answered_has_a_path() -> None:
    answered = {what for methods in ROUTES.values() for what in methods.values()}
    assert answered == {*Kind, *Page}


def test_whatever_may_be_got_may_be_asked_for_its_headers() -> None:
    for methods in ROUTES.values():
        assert methods.get("HEAD") == methods.get("GET")
