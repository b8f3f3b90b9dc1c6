"""server/routes.py: the literal list of paths."""

from __future__ import annotations

import pytest

from models.request import Kind
from server.routes import INFERENCE, ROUTES, Page, model_in


def test_the_pages_and_their_methods() -> None:
    pages = {path: row for path, row in ROUTES.items() if path not in INFERENCE}
    assert {path: {m: what.value for m, what in row.items()} for path, row in pages.items()} == {
        "/v1/models": {"GET": "models", "HEAD": "models"},
        "/models": {"GET": "models", "HEAD": "models"},
        "/health": {"GET": "health", "HEAD": "health"},
    }


def test_engines_are_asked_by_post_only() -> None:
    assert {path: ROUTES[path] for path in INFERENCE} == {
        path: {"POST": kind} for path, kind in INFERENCE.items()
    }


def test_every_kind_of_request_and_every_page_has_a_path() -> None:
    served = {what for row in ROUTES.values() for what in row.values()}
    assert served == {*Kind, *Page}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models/a", "a"),
        ("/models/a/b:c", "a/b:c"),
        ("/v1/models/", None),
        ("/v1/models", None),
        ("/v1/modelsa", None),
        ("/v1/chat/completions", None),
    ],
)
def test_the_model_in_a_path(path: str, name: str | None) -> None:
    assert model_in(path) == name
