"""Every path that the gateway answers, as one literal table: path -> method -> route. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from models.requests.endpoints import BY_PATH, Endpoint
from utils.errors import UnknownPath, WrongMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from server.account_pages import AccountPages
    from server.admin.handlers import AdminHandlers
    from server.admin.links import LinkHandlers
    from server.admin.model_handlers import ModelHandlers
    from server.admin.routing import RoutingHandlers
    from server.admin.slots import SlotHandlers
    from server.lm_studio import LmStudioHandlers
    from server.messages import MessagesHandlers
    from server.middleware import Handler
    from server.ollama import OllamaHandlers
    from server.pages import PageHandlers
    from server.pages_of_ollama import OllamaPages
    from server.passthrough import Passthrough
    from server.people.routes import PeopleRoutes
    from server.records.captures import CaptureHandlers
    from server.records.pages import RecordPages
    from server.responses.handlers import ResponseHandlers
    from server.responses.pages import ConversationHandlers
    from server.status_pages import StatusPages
    from server.streams import StreamRoutes
    from server.voice_routes import VoiceRoutes
    from server.websocket import WebSockets

UPSTREAM = "/upstream/"
# The page itself holds nothing: what it shows, it asks for as an operator.
ADMIN_PAGE = "/admin/"
# Where a client secret may stand for a key.
REALTIME = "/v1/realtime"
# The token that follows says who asks: a browser can send no key with a websocket.
VOICE_SOCKET = "/v1/audio/live/ws/"
# LM Studio has these below /api/v0, too.
_OF_LM_STUDIO = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
# No model's name has more parts.
_DEEPEST = 8


class Route(NamedTuple):
    """A handler, and how the middleware treats its requests.

    ``listed``: shown among the requests in flight, where an operator can cancel it.
    ``work``: refused once the gateway shuts down. ``target`` is the engine's path if it is another
    than that of the request. ``quiet``: it has no line in the log unless it fails.
    """

    handle: Handler
    listed: bool = False
    work: bool = False
    target: str | None = None
    quiet: bool = False


Methods = dict[str, Route]


class Found(NamedTuple):
    """A route, the model or id that the path names, and the engine's path if it is another."""

    route: Route
    name: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Routes:
    """The table.

    ``exact`` holds whole paths, ``below`` prefixes that a name follows (which may hold slashes),
    ``beside`` pages that follow a model's name, ``upstream`` the engine's paths that follow
    ``/upstream/<model>``; those that it lacks are answered by ``passthrough``, in which ``*`` is
    any method. ``socket`` opens websockets.
    """

    exact: Mapping[str, Methods]
    below: Mapping[str, Methods]
    beside: Mapping[str, Methods]
    upstream: Mapping[str, Methods]
    passthrough: Methods
    socket: Route

    def find(
        self,
        method: str,
        path: str,
        beyond: tuple[str, str] | None,
        models: Container[str],
        *,
        upgrade: bool,
    ) -> Found:
        """Return the route of a request; raise UnknownPath or WrongMethod where there is none.

        ``path`` is decoded; ``beyond`` is what ``upstream_of`` says of the path as it was sent.
        """
        if (row := self.exact.get(path)) is not None:
            route = _of_method(row, method, path)
            return Found(route, target=route.target)
        if beyond is not None:
            name, raw = beyond
            # Compared decoded: an engine decodes it as well.
            return Found(self._upstream(method, unquote(raw), upgrade=upgrade), name)
        for page, row in self.beside.items():
            if path.endswith(page) and (name := path.removesuffix(page)[1:]) in models:
                return Found(_of_method(row, method, path), name, page)
        for prefix, row in self.below.items():
            if path.startswith(prefix) and len(path) > len(prefix):
                return Found(_of_method(row, method, path), path.removeprefix(prefix))
        raise UnknownPath(f"Nothing is served at {path}.")

    def _upstream(self, method: str, path: str, *, upgrade: bool) -> Route:
        if upgrade:
            return self.socket
        row = self.upstream.get(path, {})
        return row.get(method) or self.passthrough.get(method) or self.passthrough["*"]


def routes(
    inference: Callable[[Endpoint], Handler],
    passthrough: Passthrough,
    streams: StreamRoutes,
    sockets: WebSockets,
    status: StatusPages,
    messages: MessagesHandlers,
    ollama: OllamaHandlers,
    pages_of_ollama: OllamaPages,
    lm_studio: LmStudioHandlers,
    admin: AdminHandlers,
    models: ModelHandlers,
    responses: ResponseHandlers,
    conversations: ConversationHandlers,
    records: RecordPages,
    routing: RoutingHandlers,
    captures: CaptureHandlers,
    slots: SlotHandlers,
    pages: PageHandlers,
    links: LinkHandlers,
    voice: VoiceRoutes,
    accounts: AccountPages | None = None,
    people: PeopleRoutes | None = None,
) -> Routes:
    """Return the table of these handlers."""
    answers = {
        path: {"POST": Route(inference(endpoint), listed=True, work=True)}
        for path, endpoint in BY_PATH.items()
    }
    answers["/v1/messages"] = {"POST": Route(messages.create, listed=True, work=True)}
    answers["/v1/messages/count_tokens"] = {"POST": Route(messages.count, listed=True, work=True)}
    for prefix in ("/v1/responses", "/responses"):
        answers[prefix] = {"POST": Route(responses.create, listed=True, work=True)}
        count = Route(responses.count, listed=True, work=True)
        answers[f"{prefix}/input_tokens"] = {"POST": count}
        compact = Route(responses.compact, listed=True, work=True)
        answers[f"{prefix}/compact"] = {"POST": compact}
    stored = {
        "GET": Route(responses.look, listed=True),
        "POST": Route(responses.act, listed=True),
        "DELETE": Route(responses.delete, listed=True),
    }
    talks = {
        "GET": Route(conversations.look),
        "POST": Route(conversations.change),
        "DELETE": Route(conversations.delete),
    }
    look = Route(passthrough.look, listed=True)
    return Routes(
        exact={
            **answers,
            "/": _reading(pages.root),
            **dict.fromkeys(("/v1", "/v1/"), _reading(status.root)),
            "/playground": _reading(pages.moved),
            "/playground/": _reading(pages.playground),
            "/live": _reading(pages.moved),
            "/live/": _reading(pages.live),
            "/admin": _reading(pages.moved),
            ADMIN_PAGE: _reading(pages.admin),
            "/admin/links": {"POST": Route(links.create)},
            "/login/admin": {"POST": Route(links.redeem)},
            "/v1/models": _reading(status.models),
            "/models": _reading(status.models),
            **dict.fromkeys(("/upstream", "/upstream/"), _reading(status.upstream)),
            "/v1/audio/voices": _reading(status.voices),
            "/audio/voices": _reading(status.voices),
            "/health": _reading(status.health),
            "/v1/health": _reading(status.health),
            # Of the engine that was started last, or of ?model=.
            "/props": {"GET": look, "HEAD": look},
            "/slots": {"GET": look, "HEAD": look},
            # Of the engine that holds ?conv_id=.
            "/v1/stream": {
                "GET": Route(streams.read, listed=True),
                "DELETE": Route(streams.stop, listed=True),
            },
            "/v1/streams/lookup": {"POST": Route(streams.lookup, listed=True)},
            # Of the engine that writes the completion.
            "/v1/chat/completions/control": {"POST": Route(streams.control, listed=True)},
            "/v1/audio/live": {"POST": Route(voice.create, work=True)},
            REALTIME: {"GET": Route(voice.realtime, listed=True, work=True)},
            "/v1/realtime/client_secrets": {"POST": Route(voice.secret, work=True)},
            "/v1/realtime/sessions": {"POST": Route(voice.secret_session, work=True)},
            "/v1/realtime/transcription_sessions": {
                "POST": Route(voice.secret_transcription, work=True)
            },
            **_posted_to_ollama(ollama, pages_of_ollama),
            "/api/version": _reading(pages_of_ollama.version),
            "/api/tags": _reading(pages_of_ollama.tags),
            "/api/ps": _reading(pages_of_ollama.ps),
            "/api/delete": {"DELETE": Route(pages_of_ollama.delete)},
            "/api/v0/models": _reading(lm_studio.models),
            **{
                path.replace("/v1/", "/api/v0/"): {
                    "POST": Route(inference(BY_PATH[path]), listed=True, work=True, target=path)
                }
                for path in _OF_LM_STUDIO
            },
            "/v1/conversations": {"POST": Route(conversations.create)},
            "/conversations": {"POST": Route(conversations.create)},
            "/api/models": _reading(records.models, quiet=True),
            "/api/uptime": _reading(records.uptime, quiet=True),
            "/admin/api/requests": _reading(records.requests),
            "/admin/api/history": _reading(records.history),
            "/admin/api/system": _reading(records.system),
            "/admin/api/slots": _reading(slots.look),
            "/admin/api/slots/load": {"POST": Route(slots.load, listed=True)},
            "/running": _reading(admin.running),
            "/admin/load": {"POST": Route(admin.load, listed=True)},
            "/admin/pin": {"POST": Route(admin.pin)},
            "/admin/unpin": {"POST": Route(admin.unpin)},
            "/admin/api/why": _reading(admin.why),
            "/admin/unload": {"POST": Route(admin.unload)},
            "/admin/reload": {"POST": Route(admin.reload_engines)},
            "/admin/config": _reading(admin.configuration),
            "/admin/config/reload": {"POST": Route(admin.reload_configuration)},
            # The GET is for clients of other routers.
            "/admin/rescan": dict.fromkeys(("GET", "POST"), Route(admin.reload_configuration)),
            "/admin/captures": {**_reading(captures.list), "DELETE": Route(captures.clear)},
            "/admin/route": {"POST": Route(routing.route)},
            "/admin/profile": {**_reading(routing.profile), "POST": Route(routing.profile)},
            **_about_models(models),
            "/logs": _reading(admin.logs),
            "/logs/stream": {"GET": Route(admin.log_stream, work=True)},
            "/events": {"GET": Route(admin.events, work=True)},
            "/metrics": _reading(admin.metrics),
            **({} if accounts is None else {"/v1/generation": _reading(accounts.generation)}),
            **({} if people is None else {**people.exact, **_for_people(pages)}),
        },
        below={
            "/assets/": _reading(pages.asset, quiet=True),
            **({} if people is None else people.below),
            "/v1/models/": _reading(status.model),
            "/models/": _reading(status.model),
            "/api/v0/models/": _reading(lm_studio.model),
            VOICE_SOCKET: {"GET": Route(voice.connect, listed=True, work=True)},
            "/v1/audio/live/": {"GET": Route(voice.look), "DELETE": Route(voice.delete)},
            "/api/blobs/": {
                "HEAD": Route(pages_of_ollama.create),
                "POST": Route(pages_of_ollama.create),
            },
            "/v1/responses/": stored,
            "/responses/": stored,
            "/v1/conversations/": talks,
            "/conversations/": talks,
            "/admin/api/slots/": {"POST": Route(slots.unload)},
            "/admin/captures/": _reading(captures.show),
            "/admin/requests/": {"DELETE": Route(admin.cancel)},
            "/admin/models/": {"DELETE": Route(models.delete)},
            "/admin/pulls/": {
                "GET": Route(models.look_at_pull),
                "POST": Route(models.change_pull),
                "DELETE": Route(models.end_pull),
            },
        },
        beside={page: {"GET": look, "HEAD": look} for page in ("/health", "/props", "/slots")},
        upstream={
            **answers,
            # To end a stream, one must not wait until it has ended.
            "/v1/stream": {"DELETE": look},
            "/v1/streams/lookup": {"POST": Route(streams.lookup, listed=True)},
            "/v1/chat/completions/control": {"POST": Route(streams.control, listed=True)},
        },
        passthrough={
            "GET": look,
            "HEAD": look,
            "OPTIONS": look,
            "*": Route(passthrough.work, listed=True, work=True),
        },
        socket=Route(sockets.tunnel, listed=True, work=True),
    )


def _posted_to_ollama(ollama: OllamaHandlers, pages: OllamaPages) -> dict[str, Methods]:
    """Return the routes of Ollama's API that take POST, by their paths."""
    answers = {
        "/api/chat": ollama.chat,
        "/api/generate": ollama.generate,
        "/api/embed": ollama.embed,
        "/api/embeddings": ollama.embeddings,
    }
    about_models = {
        "/api/show": pages.show,
        "/api/pull": pages.pull,
        "/api/push": pages.push,
        "/api/copy": pages.copy,
        "/api/create": pages.create,
    }
    return {
        **{path: {"POST": Route(each, listed=True, work=True)} for path, each in answers.items()},
        **{path: {"POST": Route(each)} for path, each in about_models.items()},
    }


def _for_people(pages: PageHandlers) -> dict[str, Methods]:
    """Return the pages for people with accounts; they hold nothing before one logs in."""
    return {
        "/login": _reading(pages.login),
        "/user": _reading(pages.moved),
        "/user/": _reading(pages.user),
    }


def _about_models(models: ModelHandlers) -> dict[str, Methods]:
    """Return the admin paths about models, by their names here and in another gateway."""
    pull = {"POST": Route(models.pull)}
    return {
        "/admin/models": _reading(models.local),
        "/admin/models/search": _reading(models.search),
        "/admin/models/files": _reading(models.files),
        "/admin/models/pull": pull,
        "/admin/models/import": {"POST": Route(models.bring_in)},
        "/admin/models/verify": {"POST": Route(models.verify)},
        "/admin/pulls": _reading(models.pulls),
        "/admin/api/models/local": _reading(models.local),
        "/admin/api/models/search": _reading(models.search),
        "/admin/api/models/download": pull,
    }


# Paths for operators alone; below the last two even where nothing is served.
_ADMIN = frozenset({"/running", "/logs", "/events", "/metrics"})


# Paths that need no key, where others do.
_PUBLIC = frozenset(
    {
        *("/", "/v1", "/v1/", "/health", "/v1/health", "/api/models", "/api/uptime", "/api/signup"),
        *("/playground", "/playground/", "/live", "/live/", "/admin", ADMIN_PAGE),
        *("/login", "/user", "/user/"),
    }
)


def is_public(path: str) -> bool:
    """Return whether the path needs no key, whatever is configured."""
    return path in _PUBLIC or path.startswith(("/login/", "/assets/", VOICE_SOCKET))


def is_admin(path: str) -> bool:
    """Return whether the path is for operators alone."""
    return path in _ADMIN or (path.startswith(("/admin/", "/logs/")) and path != ADMIN_PAGE)


def upstream_of(raw_path: str, models: Container[str]) -> tuple[str, str] | None:
    """Return model and engine's path of ``/upstream/<model>/…``; None for other paths.

    Names may hold slashes: the longest that is known counts, else the first part, which is
    then unknown. The engine's path stays as it was written.
    """
    if not raw_path.startswith(UPSTREAM):
        return None
    parts = raw_path.removeprefix(UPSTREAM).split("/", _DEEPEST)
    for count in range(len(parts), 0, -1):
        name = unquote("/".join(parts[:count]))
        if name in models:
            return name, "/" + "/".join(parts[count:])
    return unquote(parts[0]), "/"


def _reading(handle: Handler, *, quiet: bool = False) -> Methods:
    route = Route(handle, quiet=quiet)
    return {"GET": route, "HEAD": route}


def _of_method(row: Methods, method: str, path: str) -> Route:
    route = row.get(method)
    if route is None:
        raise WrongMethod(f"{path} does not take {method}.", tuple(row))
    return route
