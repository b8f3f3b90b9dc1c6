"""server/routes.py: the literal table of paths."""

from __future__ import annotations

from typing import Any

import pytest
from route_table import named_routes

from models.requests.endpoints import BY_PATH, CHAT, COMPLETION, EMBEDDINGS, ENDPOINTS, MESSAGES
from server.routes import Found, is_admin, upstream_of
from utils.errors import UnknownPath, WrongMethod

TABLE = named_routes()
KNOWN = {"m", "org/e", "org", "a b"}


def found(method: str, path: str, *, upgrade: bool = False) -> Found:
    return TABLE.find(method, path, upstream_of(path, KNOWN), KNOWN, upgrade=upgrade)


def answers(method: str, path: str, *, upgrade: bool = False) -> Any:
    return found(method, path, upgrade=upgrade).route.handle


def test_the_gateway_s_own_paths_and_their_methods() -> None:
    own = {path: row for path, row in TABLE.exact.items() if path not in BY_PATH}
    handlers: Any = {
        path: {m: route.handle for m, route in row.items()} for path, row in own.items()
    }
    assert handlers == {
        "/": {"GET": "pages.root", "HEAD": "pages.root"},
        "/playground": {"GET": "pages.moved", "HEAD": "pages.moved"},
        "/playground/": {"GET": "pages.playground", "HEAD": "pages.playground"},
        "/live": {"GET": "pages.moved", "HEAD": "pages.moved"},
        "/live/": {"GET": "pages.live", "HEAD": "pages.live"},
        "/admin": {"GET": "pages.moved", "HEAD": "pages.moved"},
        "/admin/": {"GET": "pages.admin", "HEAD": "pages.admin"},
        "/admin/links": {"POST": "links.create"},
        "/login/admin": {"POST": "links.redeem"},
        "/v1": {"GET": "status.root", "HEAD": "status.root"},
        "/v1/": {"GET": "status.root", "HEAD": "status.root"},
        "/v1/models": {"GET": "status.models", "HEAD": "status.models"},
        "/models": {"GET": "status.models", "HEAD": "status.models"},
        "/v1/audio/voices": {"GET": "status.voices", "HEAD": "status.voices"},
        "/audio/voices": {"GET": "status.voices", "HEAD": "status.voices"},
        "/v1/audio/live": {"POST": "voice.create"},
        "/v1/realtime": {"GET": "voice.realtime"},
        "/v1/realtime/client_secrets": {"POST": "voice.secret"},
        "/v1/realtime/sessions": {"POST": "voice.secret_session"},
        "/v1/realtime/transcription_sessions": {"POST": "voice.secret_transcription"},
        "/health": {"GET": "status.health", "HEAD": "status.health"},
        "/v1/health": {"GET": "status.health", "HEAD": "status.health"},
        "/props": {"GET": "passthrough.look", "HEAD": "passthrough.look"},
        "/slots": {"GET": "passthrough.look", "HEAD": "passthrough.look"},
        "/v1/stream": {"GET": "streams.read", "DELETE": "streams.stop"},
        "/v1/streams/lookup": {"POST": "streams.lookup"},
        "/v1/chat/completions/control": {"POST": "streams.control"},
        "/api/models": {"GET": "records.models", "HEAD": "records.models"},
        "/api/uptime": {"GET": "records.uptime", "HEAD": "records.uptime"},
        "/admin/api/requests": {"GET": "records.requests", "HEAD": "records.requests"},
        "/admin/api/history": {"GET": "records.history", "HEAD": "records.history"},
        "/admin/api/system": {"GET": "records.system", "HEAD": "records.system"},
        "/admin/api/slots": {"GET": "slots.look", "HEAD": "slots.look"},
        "/admin/api/slots/load": {"POST": "slots.load"},
        "/api/chat": {"POST": "ollama.chat"},
        "/api/generate": {"POST": "ollama.generate"},
        "/api/embed": {"POST": "ollama.embed"},
        "/api/embeddings": {"POST": "ollama.embeddings"},
        "/api/show": {"POST": "pages_of_ollama.show"},
        "/api/pull": {"POST": "pages_of_ollama.pull"},
        "/api/push": {"POST": "pages_of_ollama.push"},
        "/api/copy": {"POST": "pages_of_ollama.copy"},
        "/api/create": {"POST": "pages_of_ollama.create"},
        "/api/version": {"GET": "pages_of_ollama.version", "HEAD": "pages_of_ollama.version"},
        "/api/tags": {"GET": "pages_of_ollama.tags", "HEAD": "pages_of_ollama.tags"},
        "/api/ps": {"GET": "pages_of_ollama.ps", "HEAD": "pages_of_ollama.ps"},
        "/api/delete": {"DELETE": "pages_of_ollama.delete"},
        "/api/v0/models": {"GET": "lm_studio.models", "HEAD": "lm_studio.models"},
        "/api/v0/chat/completions": {"POST": CHAT},
        "/api/v0/completions": {"POST": COMPLETION},
        "/api/v0/embeddings": {"POST": EMBEDDINGS},
        "/v1/responses": {"POST": "responses.create"},
        "/responses": {"POST": "responses.create"},
        "/v1/responses/input_tokens": {"POST": "responses.count"},
        "/responses/input_tokens": {"POST": "responses.count"},
        "/v1/responses/compact": {"POST": "responses.compact"},
        "/responses/compact": {"POST": "responses.compact"},
        "/v1/conversations": {"POST": "conversations.create"},
        "/conversations": {"POST": "conversations.create"},
        "/upstream": {"GET": "status.upstream", "HEAD": "status.upstream"},
        "/upstream/": {"GET": "status.upstream", "HEAD": "status.upstream"},
        "/running": {"GET": "admin.running", "HEAD": "admin.running"},
        "/admin/load": {"POST": "admin.load"},
        "/admin/unload": {"POST": "admin.unload"},
        "/admin/pin": {"POST": "admin.pin"},
        "/admin/unpin": {"POST": "admin.unpin"},
        "/admin/api/why": {"GET": "admin.why", "HEAD": "admin.why"},
        "/admin/reload": {"POST": "admin.reload_engines"},
        "/admin/config": {"GET": "admin.configuration", "HEAD": "admin.configuration"},
        "/admin/config/reload": {"POST": "admin.reload_configuration"},
        "/admin/rescan": dict.fromkeys(("GET", "POST"), "admin.reload_configuration"),
        "/admin/captures": {
            "GET": "captures.list",
            "HEAD": "captures.list",
            "DELETE": "captures.clear",
        },
        "/admin/route": {"POST": "routing.route"},
        "/admin/profile": {
            "GET": "routing.profile",
            "HEAD": "routing.profile",
            "POST": "routing.profile",
        },
        "/admin/models": {"GET": "models.local", "HEAD": "models.local"},
        "/admin/models/search": {"GET": "models.search", "HEAD": "models.search"},
        "/admin/models/files": {"GET": "models.files", "HEAD": "models.files"},
        "/admin/models/pull": {"POST": "models.pull"},
        "/admin/models/import": {"POST": "models.bring_in"},
        "/admin/models/verify": {"POST": "models.verify"},
        "/admin/pulls": {"GET": "models.pulls", "HEAD": "models.pulls"},
        "/admin/api/models/local": {"GET": "models.local", "HEAD": "models.local"},
        "/admin/api/models/search": {"GET": "models.search", "HEAD": "models.search"},
        "/admin/api/models/download": {"POST": "models.pull"},
        "/logs": {"GET": "admin.logs", "HEAD": "admin.logs"},
        "/logs/stream": {"GET": "admin.log_stream"},
        "/events": {"GET": "admin.events"},
        "/metrics": {"GET": "admin.metrics", "HEAD": "admin.metrics"},
    }


@pytest.mark.parametrize("prefix", ["", "/upstream/m"])
def test_engines_are_asked_by_post_only(prefix: str) -> None:
    own = {"/v1/messages": "messages.create", "/v1/messages/count_tokens": "messages.count"}
    for path, endpoint in BY_PATH.items():
        assert answers("POST", prefix + path) == own.get(path, endpoint)


def test_work_is_refused_at_the_end_and_looking_is_not() -> None:
    every = [r for row in (*TABLE.exact.values(), *TABLE.below.values()) for r in row.values()]
    work = {str(route.handle) for route in every if route.work}
    ollama = {f"ollama.{name}" for name in ("chat", "generate", "embed", "embeddings")}
    assert work == {
        *(str(endpoint) for endpoint in ENDPOINTS if endpoint is not MESSAGES),
        *ollama,
        "messages.create",
        "messages.count",
        "admin.events",
        "admin.log_stream",
        "responses.create",
        "responses.count",
        "responses.compact",
        "voice.create",
        "voice.connect",
        "voice.realtime",
        "voice.secret",
        "voice.secret_session",
        "voice.secret_transcription",
    }
    assert TABLE.socket.work
    assert {method for method, route in TABLE.passthrough.items() if route.work} == {"*"}


def test_what_an_engine_answers_is_listed_and_an_order_is_not() -> None:
    rows = (*TABLE.exact.values(), *TABLE.below.values(), *TABLE.beside.values())
    every = [route for row in rows for route in row.values()]
    quiet = {str(route.handle).partition(".")[0] for route in every if not route.listed}
    rooms = """status pages_of_ollama lm_studio admin models conversations records routing captures
    slots pages links voice"""
    assert quiet == set(rooms.split())
    listed = {str(route.handle) for route in every if route.listed}
    assert {handler for handler in listed if handler.startswith("admin")} == {"admin.load"}


@pytest.mark.parametrize(
    ("method", "path", "handler", "name", "target"),
    [
        ("GET", "/v1/models/a", "status.model", "a", None),
        ("HEAD", "/models/a/b:c", "status.model", "a/b:c", None),
        ("DELETE", "/admin/requests/3fa-7", "admin.cancel", "3fa-7", None),
        ("DELETE", "/admin/models/org/a:Q8_0", "models.delete", "org/a:Q8_0", None),
        ("GET", "/admin/pulls/3fa", "models.look_at_pull", "3fa", None),
        ("POST", "/admin/pulls/3fa/pause", "models.change_pull", "3fa/pause", None),
        ("DELETE", "/admin/pulls/3fa", "models.end_pull", "3fa", None),
        ("GET", "/m/props", "passthrough.look", "m", "/props"),
        ("GET", "/org/e/slots", "passthrough.look", "org/e", "/slots"),
        ("HEAD", "/m/health", "passthrough.look", "m", "/health"),
        ("GET", "/upstream/m/props", "passthrough.look", "m", None),
        ("OPTIONS", "/upstream/m/x", "passthrough.look", "m", None),
        ("POST", "/upstream/org/e/x", "passthrough.work", "org/e", None),
        ("PUT", "/upstream/m/v1/chat/completions", "passthrough.work", "m", None),
        ("DELETE", "/upstream/m/v1/stream", "passthrough.look", "m", None),
        ("DELETE", "/upstream/m/v1/x", "passthrough.work", "m", None),
        ("POST", "/upstream/m/v1/streams/lookup", "streams.lookup", "m", None),
        ("POST", "/upstream/m/v1/chat/completions/control", "streams.control", "m", None),
        ("POST", "/upstream/who/tokenize", "passthrough.work", "who", None),
    ],
)
def test_paths_that_hold_a_name(
    method: str, path: str, handler: str, name: str, target: str | None
) -> None:
    route, *named = found(method, path)
    assert (route.handle, *named) == (handler, name, target)


def test_an_encoded_path_is_the_same_path() -> None:
    assert answers("POST", "/upstream/m/v1/chat/completion%73") is CHAT


def test_a_websocket_is_opened_beyond_only() -> None:
    assert answers("GET", "/upstream/m/ws", upgrade=True) == "sockets.tunnel"
    assert answers("GET", "/health", upgrade=True) == "status.health"


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/v1/models/", "/v1/modelsa", "/x/health", "/m/metrics", "/m", "/admin/requests/"],
)
def test_other_paths_are_unknown(path: str) -> None:
    with pytest.raises(UnknownPath, match="Nothing is served at"):
        found("GET", path)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", ("POST",)),
        ("POST", "/v1/models/a", ("GET", "HEAD")),
        ("POST", "/m/props", ("GET", "HEAD")),
        ("GET", "/admin/requests/x", ("DELETE",)),
        ("HEAD", "/events", ("GET",)),
    ],
)
def test_other_methods_are_refused(method: str, path: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(WrongMethod, match="does not take") as caught:
        found(method, path)
    assert caught.value.allowed == allowed


def test_paths_for_operators() -> None:
    every = [*TABLE.exact, *TABLE.below, "/admin/nowhere", "/logs/x", "/loggs", "/administrator"]
    assert {path for path in every if is_admin(path)} == {
        "/running",
        "/admin/links",
        "/admin/load",
        "/admin/unload",
        "/admin/pin",
        "/admin/unpin",
        "/admin/api/why",
        "/admin/reload",
        "/admin/config",
        "/admin/config/reload",
        "/admin/rescan",
        "/admin/requests/",
        "/admin/api/history",
        "/admin/api/requests",
        "/admin/api/system",
        "/admin/api/slots",
        "/admin/api/slots/",
        "/admin/api/slots/load",
        "/admin/models",
        "/admin/models/",
        "/admin/models/search",
        "/admin/models/files",
        "/admin/models/pull",
        "/admin/models/import",
        "/admin/models/verify",
        "/admin/pulls",
        "/admin/pulls/",
        "/admin/api/models/local",
        "/admin/api/models/search",
        "/admin/api/models/download",
        "/admin/nowhere",
        "/admin/captures",
        "/admin/captures/",
        "/admin/route",
        "/admin/profile",
        "/logs",
        "/logs/stream",
        "/logs/x",
        "/events",
        "/metrics",
    }


@pytest.mark.parametrize(
    ("path", "expected"),
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
def test_the_model_and_the_path_beyond(path: str, expected: tuple[str, str] | None) -> None:
    assert upstream_of(path, KNOWN) == expected
