"""``Inference``: the one way to an answer from a model.

    call → Selection → lease on an engine → the engine's answer → sink

It knows neither HTTP nor clients: a request, a voice session and a page ask alike. Failures are
only raised; the sink's owner tells them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.scheduling.lifecycle import State
from inference.call import AnswerCut
from inference.continuation.eligibility import Eligibility
from inference.continuation.relay import Continuing
from inference.detached import DetachedStreams
from inference.in_flight import RequestRegistry
from inference.read_ahead import read_ahead
from inference.relay import begin_well, end_well, relay
from inference.upstream_call import UpstreamCall, decision
from inference.usage import Usage
from models.capabilities import require
from models.sizing import Source
from utils.errors import EngineBroke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.manager import EngineManager
    from inference.call import Call, Hooks, Sink
    from inference.hold import Hold
    from models.requests.facts import RequestFacts
    from models.selection import ModelSelector, Selection
    from models.spec import ModelSpec
    from utils.clock import Clock


class Inference:
    """Answers calls.

    ``requests`` are those in flight, and ``streams`` those that go on when their clients have
    left. ``still_has`` tells whether a model is configured as it was when a call found it: of
    others nothing is learnt.
    """

    def __init__(
        self,
        selector: ModelSelector,
        manager: EngineManager,
        clock: Clock,
        *,
        still_has: Callable[[ModelSpec], bool] = lambda _model: True,
        hooks: Hooks | None = None,
    ) -> None:
        self.requests = RequestRegistry()
        self.streams = DetachedStreams(manager, self.requests)
        self._eligibility = Eligibility()
        self._selector = selector
        self._manager = manager
        self._clock = clock
        self._still_has = still_has
        self._hooks = hooks

    async def count(self, model: ModelSpec, facts: RequestFacts) -> int | None:
        """Return the tokens of a prompt without starting an engine; None if that cannot be."""
        return await self._selector.count(model, facts)

    def is_free(self, model: ModelSpec) -> bool:
        """Return whether an engine of the model has a free place now, and no request waits."""
        records = (each for each in self._manager.records() if each.variant.model == model.name)
        return not self._manager.waiting() and any(
            each.state is State.READY and len(each.active) < each.variant.parallel
            for each in records
        )

    def hold(self, hold: Hold, models: Iterable[ModelSpec], client: str) -> bool:
        """Keep the engines of these models loaded; see ``inference.hold``."""
        return hold.take(self._manager, models, client)

    async def read_ahead(self, call: Call) -> int | None:
        """Let a free engine read the prompt of a call to come; see ``inference.read_ahead``."""
        return await read_ahead(
            self._manager, call, await self._selector.select(call.model, call.facts)
        )

    async def load(self, model: ModelSpec, facts: RequestFacts | None = None) -> None:
        """Load a model for a request to come, such as ``facts``, if that ends no other's engine.

        Raises a GatewayError if it cannot be loaded.
        """
        if self._manager.running(model) is not None:
            return
        minimum = model.variants[0]
        if facts is not None:
            minimum = (await self._selector.select(model, facts)).minimum
        if self._manager.fits(minimum):
            async with self._manager.lease(minimum):
                pass

    async def run(self, call: Call, sink: Sink) -> None:
        """Answer ``call``: all of the answer is in ``sink`` except its end.

        Raises a GatewayError where there is no answer, or not all of it; ConnectionError when the
        client has left. Whatever happens after ``admit``, ``settle`` has been called when the
        engine is done with the call, and the call holds nothing.
        """
        record, facts, hooks = call.record, call.facts, self._hooks
        selection = await self._selected(call, sink)
        if hooks is not None:
            await hooks.admit(call, selection)
            sink = hooks.wrapped(call, sink)
        usage = Usage()
        upstream_call = UpstreamCall(self._manager, call, selection, self._hooks)
        sink.progress = upstream_call.waits_for
        detached = False
        try:
            if call.conversation is None:
                upstream = await upstream_call.open()
            else:
                upstream = await self.streams.open(upstream_call, call.conversation)
            record.variant = upstream_call.variant.label
            record.first = self._clock.now() - record.started
            sink.decided = decision(call, upstream_call.selection, upstream_call.variant)
            events = await begin_well(upstream, call)
            eligibility = self._eligibility
            codec = eligibility.codec(upstream_call, upstream)
            passing = (
                relay if codec is None else Continuing(upstream_call, codec, eligibility).relay
            )
            usage = await passing(upstream, sink, record.tally)
            await end_well(sink, call, events=events)
            upstream_call.answered(usage)
        except EngineBroke as error:
            raise await upstream_call.broken(error) from error
        except AnswerCut:
            # What came stays, and is settled; the engine stops.
            pass
        except (asyncio.CancelledError, ConnectionError):
            record.left = True
            # Nothing is awaited here: a second cancellation would lose the lease.
            detached = self.streams.take_over(upstream_call)
            raise
        finally:
            if not detached:
                if call.conversation is not None:
                    self.streams.ended(upstream_call)
                upstream_call.end()
        if usage.prompt is not None and self._still_has(call.model):
            self._selector.learn(call.model, facts, usage.prompt)
        if hooks is not None:
            await hooks.finish(call, sink)

    async def _selected(self, call: Call, sink: Sink) -> Selection:
        """Return the variant for a call that its model can answer."""
        record, facts = call.record, call.facts
        record.model = call.model.name
        record.amount = facts.amount
        require(call.model, call.able, facts, call.path)
        selection = await self._selector.select(call.model, facts)
        record.prompt = (selection.size.tokens or None) if facts.endpoint.sized else None
        record.bound = selection.size.source is Source.BOUND
        sink.decided = decision(call, selection)
        return selection
