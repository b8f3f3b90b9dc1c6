"""``Router``: finds the models for requests that name a route, or no model.

The decision itself is pure, see models/routing/decide.py; here it gets what runs, the time and
the answers of small models.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from engine.scheduling.lifecycle import State
from inference.fallback import FAILURES, NOT_LOADED
from models.requests.reader import read
from models.routing.asked import Asked, opening, read_asked
from models.routing.decide import Decision, decide
from models.routing.peers import name_at
from models.routing.pick import Seen
from server.headers import CONVERSATION
from server.hops import HOPS, headers_again
from utils.errors import BadRequest, GatewayError
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.manager import EngineManager
    from engine.peers import PeerDirectory
    from engine.scheduling.queue import Waiting
    from inference.call import Call
    from models.catalog import Catalog
    from models.requests.endpoints import Endpoint
    from models.requests.fields import Json
    from models.routing.needed import RouteNeeded
    from models.spec import ModelSpec
    from server.active_profile import ActiveProfile
    from server.classifier import Classifier
    from server.configuration import Configuration
    from server.middleware import RequestContext

HEADER = "X-Gateway-Route"
# Conversations that are remembered.
_TALKS = 10_000
_log = get_logger("route")


class Present:
    """What runs now; see ``Running`` in models/routing/pick.py."""

    def __init__(self, manager: EngineManager, catalog: Catalog, peers: PeerDirectory) -> None:
        self._manager = manager
        self._catalog = catalog
        self._peers = peers
        self._seen: dict[str, Seen] = {}

    def seen(self, model: str) -> Seen:
        """Return what runs of the model of this name."""
        if not self._seen:
            self._look()
        return self._seen.get(model, Seen())

    def _look(self) -> None:
        room = self._manager.room()
        line: list[Waiting] = self._manager.line()
        waiting = Counter(each.minimum.model for each in line)
        for record in self._manager.records():
            name = record.variant.model
            seen = self._seen.get(name, Seen(busy=waiting[name], loadable=room))
            ready = record.state is State.READY
            known = [each for each in (seen.load_seconds, record.load_seconds) if each]
            self._seen[name] = Seen(
                ready=seen.ready or ready,
                starting=seen.starting or record.state is State.STARTING,
                busy=seen.busy + len(record.active),
                load_seconds=min(known, default=None),
                free=seen.free + ready * max(0, record.variant.parallel - len(record.active)),
                loadable=room,
            )
        for model in self._catalog.models:
            if model.peer is not None:
                ours = self._seen.get(model.name, Seen())
                self._seen[model.name] = self._at_peer(model, model.peer, ours)

    def _at_peer(self, model: ModelSpec, peer: str, ours: Seen) -> Seen:
        """Return what the peer last told, less what it was sent by us."""
        told = self._peers.told(peer, name_at(model))
        if told is None or not self._peers.alive(peer):
            return Seen(busy=ours.busy, gone=not self._peers.alive(peer))
        return Seen(
            ready=told.ready,
            starting=told.starting,
            # What we have sent may be among its own, or be too new to be told.
            busy=max(told.busy, ours.busy),
            load_seconds=told.load_seconds,
            free=max(told.free - ours.busy, 0) if told.ready else 0,
            loadable=told.loadable,
        )


class Routed:
    """The models that one request can go to, best first; see ``Others`` in inference/fallback.py.

    ``went`` is told each model that the request goes to.
    """

    def __init__(
        self,
        ctx: RequestContext,
        decision: Decision,
        needed: RouteNeeded,
        went: Callable[[str], None],
    ) -> None:
        self._ctx = ctx
        self._went = went
        self._decision = decision
        self._endpoint = needed.endpoint
        self._request = b"" if needed.endpoint.form else orjson.dumps(needed.request)
        self._tried: list[str] = []
        self.tell()

    @property
    def left(self) -> bool:
        """Whether there is another model. A form was made ready for the first one."""
        more = len(self._decision.models) > len(self._tried) + 1
        return more and not self._endpoint.form

    @property
    def model(self) -> str:
        """The model to ask now."""
        return self._decision.models[len(self._tried)]

    def after(self, error: GatewayError) -> bool:
        """Return whether another model may answer where one has failed with ``error``."""
        return isinstance(error, NOT_LOADED if self._decision.standby else FAILURES)

    def tell(self) -> None:
        """Set the header that tells the decision; a model that was named needs none."""
        self._went(self.model)
        if self._decision.standby and not self._tried:
            return
        self._ctx.response.carry({HEADER: self._decision.header(self._tried)})

    def asked(self, endpoint: Endpoint, request: Json, name: str | None) -> ModelSpec:
        """Return the model that was chosen; see ``Models`` in models/requests/reader.py."""
        del endpoint, request
        return self._ctx.configuration.catalog.find(name)

    @property
    def renames(self) -> bool:
        """Whether the engine gets the model's name, because the request has the route's."""
        return bool(self._tried) or not self._decision.standby

    async def following(self, call: Call, error: GatewayError) -> Call:
        """Return the call for the next model; raise a GatewayError if it cannot be asked."""
        _log.info("%s: %s failed: %s", self._decision.route, self.model, error.message)
        self._tried.append(self.model)
        self.tell()
        ctx, configuration = self._ctx, self._ctx.configuration
        if call.facts.endpoint is not self._endpoint:
            raise BadRequest("what was asked was made for one model")
        model, facts = read(
            self._endpoint,
            self._request,
            self,
            self.model,
            configuration.fits,
            rename=self.renames,
        )
        ctx.record.model = model.name
        if facts.stream != call.facts.stream:
            facts = facts._replace(stream=call.facts.stream)
        return replace(
            call,
            facts=facts._replace(context=call.facts.context),
            model=model,
            able=configuration.able[model.name],
            headers=headers_again(ctx, model, call.headers, stream=facts.stream),
        )


class Router:
    """Decides for requests, by the profile that is active.

    It remembers which model has answered a conversation under a shared name.
    """

    def __init__(
        self,
        manager: EngineManager,
        classifier: Classifier,
        peers: PeerDirectory,
        profile: ActiveProfile,
    ) -> None:
        self._profile = profile
        self._manager = manager
        self._classifier = classifier
        self._peers = peers
        self._stays: OrderedDict[tuple[str, bytes], str] = OrderedDict()

    @property
    def profile(self) -> str:
        """The active profile; "" for none."""
        return self._profile.name

    async def choose(self, ctx: RequestContext, needed: RouteNeeded) -> None:
        """Set the request's model in ``ctx``, or raise NotCapable or BadRequest."""
        headers = ctx.request.headers
        shared, named = ctx.configuration.catalog.shared, None
        if shared:
            # Only models of several machines are told apart by conversations.
            named = headers.get(CONVERSATION, "").encode() or opening(needed.request)
        talk = (needed.name or "", named or b"")
        asked = read_asked(needed.endpoint, needed.request)._replace(
            headers=headers,
            tier=ctx.tier,
            key=headers.get(CONVERSATION) or ctx.record.id,
            stays=self._stays.get(talk) if named else None,
            relayed=HOPS in headers,
        )
        decision = await self.decide(ctx, needed.name, asked)
        kept = bool(named) and decision.route in shared

        def went(model: str) -> None:
            if kept:
                self._stays[talk] = model
                self._stays.move_to_end(talk)
                if len(self._stays) > _TALKS:
                    self._stays.popitem(last=False)

        ctx.routed = Routed(ctx, decision, needed, went)
        ctx.name = ctx.routed.model

    async def decide(
        self, ctx: RequestContext, name: str | None, asked: Asked, hour: int | None = None
    ) -> Decision:
        """Return the decision for a request; ``hour`` is the local one unless it is given."""
        configuration = ctx.configuration
        running = Present(self._manager, configuration.catalog, self._peers)
        now = time.localtime().tm_hour if hour is None else hour
        asked = asked._replace(hour=now, profile=self.profile)
        labels: dict[str, str] = {}
        while True:
            decided = decide(configuration.book, running, name, asked, labels)
            if isinstance(decided, Decision):
                return decided
            labels[decided.route] = await self._classifier.label(ctx, decided, asked.text)

    def profiles(self, configuration: Configuration) -> list[str]:
        """Return the profiles that rules name, in a fixed order."""
        routes = configuration.catalog.routes.values()
        return sorted({r.profile for route in routes for r in route.rules if r.profile is not None})

    async def switch(self, configuration: Configuration, profile: str) -> None:
        """Make ``profile`` the active one; "" is none. BadRequest if no rule names it."""
        known = self.profiles(configuration)
        if profile and profile not in known:
            raise BadRequest(
                f"No rule has the profile '{profile}'. Known: {', '.join(known) or 'none'}.",
                param="profile",
            )
        await asyncio.to_thread(self._profile.switch, profile)
        _log.info("the profile is %s", profile or "none")
