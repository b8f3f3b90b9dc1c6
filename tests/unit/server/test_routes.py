"""server/routes.py: the literal list of paths."""

from __future__ import annotations

import pytest

from models.requests.endpoints import BY_PATH, ENDPOINTS
from server.routes import ROUTES, Page, model_in, page_of_model, upstream_of


def test_the_pages_and_their_methods() -> None:
    pages = {path: row for path, row in ROUTES.items() if path not in BY_PATH}
    assert {
        path: {m: getattr(what, "value", None) for m, what in row.items()}
        for path, row in pages.items()
    } == {
        "/v1/models": {"GET": "models", "HEAD": "models"},
        "/models": {"GET": "models", "HEAD": "models"},
        "/health": {"GET": "health", "HEAD": "health"},
        "/v1/health": {"GET": "health", "HEAD": "health"},
        "/props": {"GET": "engine", "HEAD": "engine"},
        "/slots": {"GET": "engine", "HEAD": "engine"},
        "/v1/stream": {"GET": "stream", "DELETE": "stream"},
        "/v1/streams/lookup": {"POST": "streams"},
        "/v1/chat/completions/control": {"POST": "control"},
    }


def test_engines_are_asked_by_post_only() -> None:
    assert {path: ROUTES[path] for path in BY_PATH} == {
        path: {"POST": kind} for path, kind in BY_PATH.items()
    }


def test_every_kind_of_request_and_every_page_has_a_path() -> None:
    served = {what for row in ROUTES.values() for what in row.values()}
    assert served == {*ENDPOINTS, *Page}


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


KNOWN = {"m", "org/e", "org", "a b"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/m/props", ("m", "/props")),
        ("/org/e/slots", ("org/e", "/slots")),
        ("/m/health", ("m", "/health")),
        ("/x/health", None),
        ("/m/metrics", None),
        ("/props", None),
        ("/m", None),
    ],
)
def test_pages_under_a_model_s_name(path: str, found: tuple[str, str] | None) -> None:
    assert page_of_model(path, KNOWN) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/upstream/m/props", ("m", "/props")),
        ("/upstream/m", ("m", "/")),
        ("/upstream/m/", ("m", "/")),
        ("/upstream/org/e/v1/x%20y", ("org/e", "/v1/x%20y")),
        ("/upstream/org%2Fe/x", ("org/e", "/x")),
        ("/upstream/org/x", ("org", "/x")),
        ("/upstream/a%20b/x", ("a b", "/x")),
        ("/upstream/m/" + "/".join("abcdefghijkl"), ("m", "/a/b/c/d/e/f/g/h/i/j/k/l")),
        ("/upstream/who%3F/x", ("who?", "/")),
        ("/upstream/", ("", "/")),
        ("/upstreams/m", None),
    ],
)
def test_the_model_and_the_path_beyond(path: str, found: tuple[str, str] | None) -> None:
    assert upstream_of(path, KNOWN) == found
