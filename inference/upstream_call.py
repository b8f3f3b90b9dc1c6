"""One call and the engines that answer it, from the first try to the end of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.call import TRANSITIONS, IllegalMove, Move, State
from inference.usage import Usage
from models.requests.amount import of_sound
from models.requests.reader import parse
from models.selection import Selection, choose_ahead, choose_larger
from models.sizing import UNCOUNTED, PromptSize, Source
from utils.errors import (
    ActionRefused,
    ContextLengthExceeded,
    EngineBroke,
    EngineUnreachable,
    GatewayError,
)
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.base import Placement
    from engine.manager import EngineManager
    from engine.upstream import UpstreamResponse
    from inference.call import Call, Hooks
    from inference.continuation.parts import Continuation
    from models.spec import VariantSpec

_log = get_logger("call")
# A connection that breaks because the engine died is seen before its exit is.
_EXIT_NOTICE = 0.5
_BAD_REQUEST = 400


class UpstreamCall:
    """A call on its way through ``call.TRANSITIONS``, with its lease.

    ``open``, then ``answered``; ``end`` exactly once, however it ended. ``variant`` is
    the one whose answer the client has, or will have. ``lease`` is on the engine that the call was
    sent to last; ``selection`` is why it was sent there.
    """

    def __init__(
        self, manager: EngineManager, call: Call, selection: Selection, hooks: Hooks | None = None
    ) -> None:
        self.call = call
        self.state = State.WAITING
        self.variant: VariantSpec = selection.minimum
        self.selection = selection
        self._hooks = hooks
        self._facts = call.facts
        self.lease = manager.lease(
            selection.minimum,
            call.record.client,
            call.priority,
            call.facts.keep_alive,
            selection.fallbacks,
            auxiliary=call.facts.endpoint.auxiliary,
        )
        self.waits_for = self.lease.waits_for
        call.record.ticket = self.lease.request
        self._upstream: UpstreamResponse | None = None
        self._usage: Usage | None = None
        # The call's place in the engine, until the engine type is told what became of the call.
        self._place: Placement | None = None

    # -- until an answer has begun ---------------------------------------------------

    def at_once(self) -> bool:
        """Return whether an engine is held, because one is free and no request waits."""
        free = self.lease.at_once()
        if free:
            self._granted()
        return free

    def give_way(self, end: Callable[[int], object]) -> None:
        """Call ``end`` with the number of each other request that has to wait, while it is held."""
        self.lease.give_way(end)

    async def wait(self) -> None:
        """Wait for an engine, in the queue and for its start; the errors are those of a lease."""
        if not self.lease.at_once():
            await self.lease.enter()
        self._granted()

    async def open(self) -> UpstreamResponse:
        """Return the engine's answer, which has begun; the client saw nothing of what came before.

        An engine is waited for, unless one is held. A crash before the first byte is tried once
        more, where it does no harm to ask twice. A prompt that the engine refuses for its length
        moves to the variant that holds it; ContextLengthExceeded when there is none.
        """
        if self.state is State.WAITING:
            await self.wait()
        tried = False
        while True:
            try:
                upstream = await self._forward()
            except (EngineUnreachable, EngineBroke) as error:
                self._leave_place()
                if tried or not self._repeatable(error):
                    why = await self._reason(error)
                    label = self.lease.variant.label
                    raise EngineUnreachable(f"The engine {label} gave no answer: {why}") from error
                tried = True
                self._move(Move.RETRY)
                await self._again(self.lease.minimum)
                continue
            refused = self.lease.client.too_long(upstream) if upstream.failed else None
            if refused is None:
                self._move(Move.ANSWERED)
                self._upstream = upstream
                if upstream.failed and self.lease.client.blames_request(upstream):
                    upstream.status = _BAD_REQUEST
                return upstream
            upstream.close()
            self._move(Move.TOO_LONG)
            await self._again(self._larger(*refused))

    async def _forward(self) -> UpstreamResponse:
        call, facts, engine = self.call, self._facts, self.lease.engine
        client = engine.client
        if not facts.endpoint.paths and (why := client.refusal(call.method, call.path)):
            raise ActionRefused(why)
        body = facts.upload or facts.body
        # Another engine may have begun an answer that this one is to continue.
        self._upstream = None
        self._place = await engine.hooks.assign(facts)
        if self._place is not None and isinstance(body, bytes):
            body = self._place.body(body)
        try:
            upstream = await client.forward(call.path, call.headers, body, call.method)
        finally:
            # Most kinds of sound files tell their length only to the engine's decoder.
            if facts.upload is not None and (found := of_sound(facts.upload.seconds)) is not None:
                call.record.amount = found
        if upstream.failed:
            self._leave_place(refused=True)
        return upstream

    def _repeatable(self, error: EngineUnreachable | EngineBroke) -> bool:
        """Return whether the engine cannot have begun to do what it would do twice."""
        unsent = isinstance(error, EngineUnreachable) and not error.sent
        return unsent or self.call.facts.endpoint.repeatable

    async def _again(self, minimum: VariantSpec) -> None:
        await self.lease.again(minimum)
        self._granted()

    def _granted(self) -> None:
        lease, wanted = self.lease, self.selection.minimum
        fell_back = lease.variant.capacity < wanted.capacity and not lease.asked.auxiliary
        self._move(Move.FELL_BACK if fell_back else Move.GRANTED)
        if self.state is not State.CONTINUING:
            self.variant = lease.variant

    def _larger(self, prompt: int, context: int) -> VariantSpec:
        model, variant = self.selection.model, self.lease.variant
        larger = choose_larger(model, variant, prompt, self.selection.output)
        if larger is None:
            limit = context if variant is model.largest else model.largest.capacity
            raise ContextLengthExceeded(model.name, prompt, limit)
        size = PromptSize(prompt, prompt, Source.ENGINE)
        self.selection = self.selection._replace(minimum=larger, size=size)
        return larger

    # -- while it comes --------------------------------------------------------------

    async def resume(self, continuation: Continuation) -> UpstreamResponse | None:
        """Return the answer of a larger variant that continues this one; None where none can.

        What it says is a part of the answer once ``joined`` was called, and not with ``kept``.
        """
        counts = continuation.counts
        selection, variant = self.selection, self.lease.variant
        left = selection.output
        if continuation.left is not None:
            left = min(left, continuation.left)
        larger = choose_larger(selection.model, variant, counts.total, left)
        if larger is None:
            return None
        trial = continuation.trial
        if trial and not await self.lease.client.continues(trial, continuation.text):
            _log.info("an answer of %s cannot grow: its template forbids it", variant.label)
            return None
        _log.info("an answer fills %s; it goes on in %s", variant.label, larger.label)
        self._settle_place(Usage(counts.prompt, counts.written, counts.cached))
        self._close()
        self._move(Move.FULL)
        try:
            self._facts = parse(self._facts.endpoint, continuation.body)
            await self._again(larger)
            upstream = await self.open()
        except GatewayError as error:
            self.kept(f"cannot grow: {error.message}")
            return None
        finally:
            # What the client sent is as large as it was.
            self.selection = selection
        if upstream.failed:
            self.kept(f"cannot grow: the larger engine answered {upstream.status}")
            # An engine's complaint may quote what the client wrote.
            _log.debug("%s answered %.200r", larger.label, upstream.first)
            return None
        return upstream

    def joined(self) -> bool:
        """Note that what comes is the client's; return whether that is news."""
        if self.state is not State.CONTINUING:
            return False
        self._move(Move.JOINED)
        self.variant = self.lease.variant
        return True

    def kept(self, why: str) -> None:
        """Note that the answer stays as it was: nothing of the larger variant's is part of it."""
        _log.info("an answer of %s %s", self.variant.label, why)
        # Of what the larger engine did in vain nothing is known.
        self._leave_place()
        self._close()
        self._move(Move.KEPT)

    # -- its end ---------------------------------------------------------------------

    def answered(self, usage: Usage) -> None:
        """Note that the answer has come to its end, and what the engine counted."""
        self._usage = usage
        self._settle_place(usage)
        record, model = self.call.record, self.call.model
        record.usage, record.completion, record.answered = usage, usage.completion, True
        record.refused = self._upstream is not None and self._upstream.failed
        if usage.prompt is not None:
            record.prompt, record.counted = usage.prompt, True
        if model.grow_ahead and self._facts.endpoint.generates:
            self.lease.ahead = choose_ahead(model, self.lease.variant, usage.total)

    def end(self) -> None:
        """Give up place, connection and engine, and settle the account. Never waits."""
        begun = self.state in (State.ANSWERING, State.CONTINUING)
        self._move(Move.END)
        record, lease = self.call.record, self.lease
        if self._place is not None:
            self._leave_place()
        self._close()
        lease.leave()
        record.queued, record.loading = lease.queued, lease.loading
        if begun:
            record.variant = self.variant.label
        if self._usage is None and begun:
            self._usage = usage = record.tally.so_far(self.selection.size.tokens)
            record.usage, record.prompt, record.completion = usage, usage.prompt, usage.completion
        if self._hooks is not None:
            self._hooks.settle(self.call, self._usage or Usage())

    async def broken(self, error: EngineBroke) -> EngineBroke:
        """Return ``error`` with what became of the engine."""
        why = await self._reason(error)
        return EngineBroke(f"The engine {self.lease.variant.label} broke off its answer: {why}")

    async def _reason(self, error: EngineUnreachable | EngineBroke) -> str:
        engine = self.lease.engine
        if not engine.ended:
            await engine.gone(_EXIT_NOTICE)
        return engine.ended or error.message

    def _settle_place(self, usage: Usage) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.answered(usage.total, usage.cached, usage.read)

    def _leave_place(self, *, refused: bool = False) -> None:
        """Give up the place of an answer that did not end; harmless when repeated."""
        place, self._place = self._place, None
        if place is None:
            return
        if refused:
            place.refused()
        elif self._upstream is not None:
            place.answered()
        else:
            place.broken_off()

    def _close(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()

    def _move(self, move: Move) -> None:
        following = TRANSITIONS[self.state].get(move)
        if following is None:
            raise IllegalMove(self.call.record.id, self.state, move)
        self.state = following


def decision(
    call: Call, selection: Selection, variant: VariantSpec | None = None
) -> dict[str, str]:
    """Return the headers that tell which variant answers, if that is final, and why."""
    told = {} if variant is None else {"X-Gateway-Variant": variant.label}
    size, wanted = selection.size, selection.minimum
    if call.facts.endpoint.sized:
        if size is not UNCOUNTED:
            told["X-Gateway-Prompt-Tokens"] = f"{size.tokens}; source={size.source}"
        if variant is not None and variant.capacity < wanted.capacity:
            told["X-Gateway-Fallback"] = f"{wanted.label}; reason=out-of-memory"
    return told
