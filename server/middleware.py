"""The middleware: one chain around every request, whatever its path.

Its steps: request id, client, host, origin, preflight, admin rights, route, handler; then
errors in the API's own shape, one line in the log, one count in the metrics.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from engine.scheduling.queue import Priority
from inference.caller import OPERATOR
from inference.in_flight import Ongoing
from server.access_log import AccessRecord
from server.admin.access import require_admin
from server.browsers import APART, is_preflight
from server.client_response import REQUEST_ID, ClientResponse
from server.errors import retry_after, shape_of
from server.headers import client_of, is_upgrade, priority_of
from server.machine import Machine
from server.records.captures import Captures, CapturingResponse
from server.routes import REALTIME, UPSTREAM, Route, is_admin, is_public, upstream_of
from server.signposts import address_of, hint
from server.uploads.body import BodyMemory, Share
from utils.errors import GatewayError, NotPermitted, ShuttingDown, UnknownPath
from utils.logger import get_logger

if TYPE_CHECKING:
    from accounts.service import Accounts
    from inference.caller import Caller
    from server.admin.grants import Grants
    from server.configuration import Configuration, CurrentConfiguration
    from server.exchange import Request
    from server.forwarded import Origin
    from server.people.people import People
    from server.router import Routed
    from server.routes import Routes
    from server.telemetry import Telemetry
    from utils.clock import Clock


_JSON = {"Content-Type": "application/json; charset=utf-8"}
_log = get_logger("handler")
_NO_CONTENT = 204


@dataclass(slots=True, eq=False)
class RequestContext:
    """What a handler is given of one request, and where it writes the answer.

    ``configuration`` is the one that held when the request began; a handler uses no other.
    ``bodies`` counts the bytes of all bodies. ``closing`` says whether the gateway was shutting
    down when the request began. ``origin`` is what a trusted proxy told, ``visitor`` who asks by a
    session. ``name`` is the model or the id that the path names, if any; ``target`` is the path
    with its query for the engine.
    ``share`` is what the body holds of the memory for all bodies, if that was ever asked for.
    ``routed`` are the models to choose from, if the request names none.
    """

    request: Request
    configuration: Configuration
    record: AccessRecord
    response: ClientResponse
    telemetry: Telemetry
    bodies: BodyMemory
    closing: bool
    origin: Origin | None = None
    visitor: Caller | None = None
    name: str | None = None
    target: str = ""
    routed: Routed | None = None
    share: Share | None = None

    def take(self, size: int) -> bool:
        """Hold ``size`` bytes more of the body; return False where all bodies take too much."""
        if self.share is None:
            settings = self.configuration.settings
            limit = max(settings.max_body_memory, settings.max_request_bytes)
            self.share = Share(self.bodies, limit)
        return self.share.take(size)

    @property
    def client(self) -> str:
        """The client: a digest of the API key, else the address."""
        return self.record.client

    @property
    def tier(self) -> str:
        """The tier of the client's key; "" where no keys are asked for."""
        caller = self.record.caller
        return "" if caller is None else caller.tier

    @property
    def address(self) -> str:
        """The gateway's URL as the client sees it."""
        request, origin = self.request, self.origin
        if origin is None:
            return address_of(request.headers, request.scheme, request.host)
        return f"{origin.scheme or request.scheme}://{origin.host or request.host}"

    def priority(self) -> Priority:
        """The priority that the request asks for, where that is allowed; BadRequest if unknown."""
        caller = self.record.caller
        usual = Priority.NORMAL if caller is None else caller.priority
        allowed = self.configuration.settings.priority_header
        if not allowed or "X-Priority" not in self.request.headers:
            return usual
        asked = priority_of(self.request.headers, allowed=allowed)
        # An account may ask for less than its own.
        return asked if caller is None else min(asked, usual)

    async def json(self, value: Any, status: int = 200) -> None:  # noqa: ANN401 - any JSON value
        """Answer with ``value`` as JSON."""
        await self.response.answer(status, _JSON, orjson.dumps(value))


# Writes the answer to ``ctx.response`` or raises; the middleware tells a GatewayError.
Handler = Callable[[RequestContext], Awaitable[None]]


class Middleware:
    """Answers every request, whichever way it came."""

    def __init__(
        self,
        current: CurrentConfiguration,
        routes: Routes,
        telemetry: Telemetry,
        clock: Clock,
        accounts: Accounts | None = None,
        people: People | None = None,
        captures: Captures | None = None,
        grants: Grants | None = None,
    ) -> None:
        self.closing = False
        self.captures = captures or Captures()
        self._people = people
        self._grants = grants
        self._accounts = accounts
        self._current = current
        self._routes = routes
        self._telemetry = telemetry
        self._clock = clock
        self._bodies = BodyMemory()
        # Found once: see ``Ongoing``.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._machine = Machine(clock, (each.host for each in current.now.settings.listen))

    async def answer(self, request: Request) -> None:
        """Answer the request; see ``Frame`` in server/protocol.py."""
        ctx = self._context(request)
        record, response = ctx.record, ctx.response
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        ongoing = Ongoing(record, self._loop)
        listed = False
        try:
            try:
                try:
                    if self._people is not None:
                        upgrade = is_upgrade(request.method, request.headers)
                        ctx.visitor = await self._people.visitor(ctx, upgrade=upgrade)
                    route = self._route(ctx)
                    if route.listed:
                        self._telemetry.began(ongoing)
                        listed = True
                    with ongoing:
                        await route.handle(ctx)
                except GatewayError as error:
                    record.note = type(error).__name__
                    record.failed = shape_of(error).status
                    self._telemetry.failed(record, error)
                    await response.fail(error)
                except ConnectionError:
                    raise
                except Exception:  # noqa: BLE001 - the outermost boundary: a fault of ours, told as one
                    _log.exception("a request failed in the gateway itself")
                    record.note = "internal error"
                    failure = GatewayError("The gateway failed; its log says why.")
                    record.failed = shape_of(failure).status
                    await response.fail(failure)
                if not response.ended:
                    await response.end()
            finally:
                await response.close()
            record.status = response.status
        except ConnectionError:
            record.note = "client left"
        finally:
            self._over(ctx, ongoing if listed else None)

    def _over(self, ctx: RequestContext, ongoing: Ongoing | None) -> None:
        if ctx.share is not None:
            ctx.share.release()
        if isinstance(ctx.response, CapturingResponse):
            self.captures.add(ctx, ctx.response)
        self._telemetry.ended(ctx.record, self._clock.now(), ongoing)

    def refused(self, method: str, path: str, error: GatewayError) -> dict[str, str]:
        """Log what was refused before it was a request; return the headers of the answer."""
        record = self._unparsed(method, path, type(error).__name__)
        record.status = shape_of(error).status
        self._telemetry.ended(record, self._clock.now(), None)
        headers = {REQUEST_ID: record.id}
        if (seconds := retry_after(error)) is not None:
            headers["Retry-After"] = str(seconds)
        return headers

    def left(self, method: str, path: str) -> None:
        """Log a request whose client left before ``answer`` was called."""
        record = self._unparsed(method, path, "client left")
        self._telemetry.ended(record, self._clock.now(), None)

    def _unparsed(self, method: str, path: str, note: str) -> AccessRecord:
        request_id = self._telemetry.requests.new_id()
        return AccessRecord(method, path=path, started=self._clock.now(), id=request_id, note=note)

    def _context(self, request: Request) -> RequestContext:
        # Read once: the request keeps to it, whatever is configured meanwhile.
        configuration = self._current.now
        # Only browsers name an origin.
        from_page = "Origin" in request.headers
        carried = configuration.cors.headers(request.headers) if from_page else {}
        carried[REQUEST_ID] = request_id = self._telemetry.requests.new_id()
        # The path as it was sent: decoded, it could hold a line break and forge a line of the log.
        raw = request.rel_url.raw_path
        origin, remote = None, request.remote
        if configuration.proxies is not None:
            origin = configuration.proxies.origin(remote, request.headers)
            remote = remote if origin is None else origin.address
        client = client_of(request.headers, remote)
        record = AccessRecord(
            request.method,
            path=raw,
            started=self._clock.now(),
            id=request_id,
            client=client,
            address=remote,
        )
        patience = configuration.settings.client_timeout
        kind = CapturingResponse if configuration.settings.capture_budget else ClientResponse
        response = kind(request, self._clock, patience, carried)
        request.response = response
        return RequestContext(
            request,
            configuration,
            record,
            response,
            self._telemetry,
            self._bodies,
            closing=self.closing,
            origin=origin,
        )

    def _check_rights(self, ctx: RequestContext, *, admin: bool, upgrade: bool) -> None:
        if self._accounts is not None:
            self._identify(ctx, self._accounts, admin=admin, upgrade=upgrade)
        elif admin and not self._granted(ctx):
            require_admin(ctx.request.headers, ctx.configuration.settings)

    def _granted(self, ctx: RequestContext) -> bool:
        """Return whether the operator's page asks."""
        token = ctx.request.headers.get("X-Admin-Token")
        granted = token is not None and self._grants is not None and self._grants.admits(token)
        ctx.record.quiet = granted and ctx.request.method == "GET"
        return granted

    def _identify(
        self, ctx: RequestContext, accounts: Accounts, *, admin: bool, upgrade: bool
    ) -> None:
        """Find out who asks; KeyRefused where it is nobody, NotPermitted if they may not."""
        path, headers = ctx.request.path, ctx.request.headers
        if is_public(path) or (path == REALTIME and accounts.has_secret(headers)):
            return
        settings = ctx.configuration.settings
        accounts.configure(settings)
        if self._granted(ctx):
            caller: Caller = OPERATOR
        else:
            caller = ctx.visitor or accounts.caller(ctx.request.headers, settings)
        ctx.record.caller, ctx.record.client = caller, caller.client
        accounts.check(caller)
        if admin and not caller.may("admin"):
            raise NotPermitted("This path needs an admin's key with the scope 'admin'.")
        if upgrade and caller.pays:
            raise NotPermitted("What passes through a websocket to an engine cannot be charged.")

    def _route(self, ctx: RequestContext) -> Route:
        """Return the route of a request that may be answered; GatewayError says why not."""
        found = ctx.request.prepared.found
        if found is not None and found[0] is ctx.configuration and ctx.origin is None:
            # What the head alone decides was decided for an earlier request.
            _, route, ctx.target = found
            if self._accounts is not None:
                self._identify(ctx, self._accounts, admin=False, upgrade=False)
        else:
            route = self._found(ctx)
        if route.work:
            # A model is asked.
            caller = ctx.record.caller
            if caller is not None and not caller.may("inference"):
                raise NotPermitted("The key has no right to ask models (scope 'inference').")
            if ctx.closing:
                raise ShuttingDown("The gateway is shutting down.")
        if route.quiet:
            ctx.record.quiet = True
        return route

    def _found(self, ctx: RequestContext) -> Route:
        """Return the route of a request whose head is good; who asks may take it."""
        request, configuration = ctx.request, ctx.configuration
        cors, headers, method, path = (
            configuration.cors,
            request.headers,
            request.method,
            request.path,
        )
        raw, beyond = ctx.record.path, None
        if raw.startswith(UPSTREAM):
            beyond = upstream_of(raw, configuration.catalog)
        if beyond is None:
            ctx.target = request.rel_url.raw_path_qs
        else:
            query = request.rel_url.raw_query_string
            ctx.target = f"{beyond[1]}?{query}" if query else beyond[1]
            ctx.response.speak(beyond[1])
            if self._people is not None:
                ctx.response.carry(APART)
        names = [*headers.getall("Host", ()), *request.authorities]
        own = None
        if ctx.origin is not None and (own := ctx.origin.host) is not None:
            names.append(own)
        configuration.hosts.require(names, request.version, self._machine.own)
        admin = is_admin(path)
        if admin:
            cors.refuse_admin(headers, own)
        from_page = "Origin" in headers
        if from_page and is_preflight(method, headers):
            return Route(_preflight)
        upgrade = "Upgrade" in headers and is_upgrade(method, headers)
        # What a voice session asks of models is charged; what an engine tells by a socket is not.
        self._check_rights(ctx, admin=admin, upgrade=upgrade and beyond is not None)
        if from_page and not admin:
            # Browsers let any page open a websocket, and read from it.
            cors.refuse_work("CONNECT" if upgrade else method, headers, own)
        try:
            route, ctx.name, target = self._routes.find(
                method, path, beyond, configuration.catalog, upgrade=upgrade
            )
        except UnknownPath as error:
            raise UnknownPath(f"{error.message} {hint(path, ctx.address)}") from None
        ctx.target = target or ctx.target
        if ctx.name is None and ctx.origin is None and not (admin or from_page or upgrade):
            request.prepared.found = configuration, route, ctx.target
        return route


async def _preflight(ctx: RequestContext) -> None:
    ctx.response.carry(ctx.configuration.cors.preflight(ctx.request.headers))
    await ctx.response.answer(_NO_CONTENT, {}, b"")
