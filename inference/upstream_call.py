"""One request and the engine that answers it: the tries until an answer has begun."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from inference.usage import Usage
from models.requests.reader import parse
from models.selection import Selection, choose_larger
from models.sizing import UNCOUNTED, PromptSize, Source
from server.headers import to_engine, to_engine_unread
from utils.errors import ContextLengthExceeded, EngineBroke, EngineUnreachable, GatewayError
from utils.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import CIMultiDict

    from engine.base import Placement
    from engine.lease import Lease
    from engine.manager import EngineManager
    from engine.upstream import UpstreamResponse
    from inference.continuation.request import Continuation
    from models.requests.reader import RequestFacts
    from models.spec import VariantSpec

_log = get_logger("exchange")
# A connection that breaks because the engine died is seen before its exit is.
_EXIT_NOTICE = 0.5


class UpstreamCall:
    """Holds a lease and the selection it was taken for; both follow the engine's word."""

    def __init__(
        self, manager: EngineManager, lease: Lease, selection: Selection, facts: RequestFacts
    ) -> None:
        self._manager = manager
        self._lease = lease
        self._selection = selection
        self._facts = facts
        self._place: Placement | None = None
        self._begun = False
        # The engine whose answer the client has while a larger one has not joined.
        self._outgrown: VariantSpec | None = None
        self._grew = False
        self._anew = False
        self._asked: tuple[str, CIMultiDict[str], str]

    def decision(self) -> dict[str, str]:
        """The headers that tell which engine answers."""
        told = decision(self._variant, self._selection.size, self._facts)
        wanted = self._selection.minimum
        if self._variant.capacity < wanted.capacity:
            told["X-Gateway-Fallback"] = f"{wanted.label}; reason=out-of-memory"
        return told

    async def open(self, path: str, headers: Mapping[str, str]) -> UpstreamResponse:
        """The engine's answer has begun; whatever happened before it, the client saw nothing.

        A crash before the first byte is tried once more. A prompt that the engine refuses
        for its length moves to the variant that holds it; ContextLengthExceeded when there
        is none.
        """
        sent = to_engine(headers)
        if (upload := self._facts.upload) is not None:
            sent["Content-Type"] = upload.content_type
            sent["Content-Length"] = str(upload.size)
        return await self._open(path, sent, "POST")

    async def open_unread(
        self, path: str, headers: Mapping[str, str], method: str
    ) -> UpstreamResponse:
        """The same for a request of any method, whose body is passed on as it is."""
        sent = to_engine_unread(headers)
        # Nobody would listen to what it went on with, nor know that it does.
        sent.popall("X-Conversation-Id", None)
        return await self._open(path, sent, method)

    async def _open(self, path: str, headers: CIMultiDict[str], method: str) -> UpstreamResponse:
        self._asked = path, headers, method
        if self._facts.stream:
            # llama-server closes the connection after a stream, whatever its headers promise;
            # the next request in the queue would be sent into that.
            headers["Connection"] = "close"
        else:
            # An engine would go on with an answer that nobody can read again.
            headers.popall("X-Conversation-Id", None)
        tried = False
        while True:
            try:
                upstream = await self._forward(path, headers, method)
            except (EngineUnreachable, EngineBroke) as error:
                self.left()
                if tried:
                    why = await self._reason(error)
                    label = self._lease.variant.label
                    raise EngineUnreachable(f"The engine {label} gave no answer: {why}") from error
                tried = True
                await self._manager.again(self._lease, self._lease.minimum)
                continue
            refused = self._lease.client.too_long(upstream)
            if refused is None:
                self._begun = not upstream.failed
                return upstream
            upstream.close()
            await self._manager.again(self._lease, self._larger(*refused))

    async def _forward(self, path: str, headers: CIMultiDict[str], method: str) -> UpstreamResponse:
        body = self._facts.upload or self._facts.body
        # Another engine may have begun an answer that this one is to continue.
        self._begun = False
        self._place = await self._lease.engine.hooks.assign(self._facts)
        if self._place is not None and isinstance(body, bytes):
            body = self._place.body(body)
        upstream = await self._lease.client.forward(path, headers, body, method)
        if upstream.failed:
            self.left(refused=True)
        return upstream

    @property
    def context(self) -> int:
        """Tokens that the context of the engine holds that the request was sent to last."""
        return self._lease.variant.capacity

    @property
    def label(self) -> str:
        """The variant whose answer the client has, or will have."""
        return self._variant.label

    @property
    def grew(self) -> bool:
        """Whether a larger variant continued the answer."""
        return self._grew

    @property
    def answered_anew(self) -> bool:
        """Whether a larger variant answered instead of continuing."""
        return self._anew

    @property
    def _variant(self) -> VariantSpec:
        return self._outgrown or self._lease.variant

    async def grow(self, continuation: Continuation) -> UpstreamResponse | None:
        """A larger variant begins to continue the answer; None where that cannot be.

        What it says is a part of the answer once ``joined`` was called.
        """
        counts = continuation.counts
        selection, variant = self._selection, self._lease.variant
        left = selection.output
        if continuation.left is not None:
            left = min(left, continuation.left)
        larger = choose_larger(selection.model, variant, counts.total, left)
        if larger is None:
            return None
        trial = continuation.trial
        if trial and not await self._lease.client.continues(trial, continuation.text):
            _log.info("an answer of %s cannot grow: its template forbids it", variant.label)
            return None
        _log.info("an answer fills %s; it goes on in %s", variant.label, larger.label)
        self.answered(Usage(counts.prompt, counts.written, counts.cached))
        self._outgrown = variant
        try:
            self._facts = parse(self._facts.endpoint, continuation.body)
            await self._manager.again(self._lease, larger)
            upstream = await self._open(*self._asked)
        except GatewayError as error:
            _log.warning("an answer of %s cannot grow: %s", variant.label, error.message)
            return None
        finally:
            # What the client sent is as large as it was.
            self._selection = replace(self._selection, size=selection.size)
        if upstream.failed:
            _log.info("an answer of %s cannot grow: %.200r", variant.label, upstream.first)
            upstream.close()
            return None
        return upstream

    def refused(self, *, anew: bool) -> None:
        """What the larger variant says is no part of the answer; ``anew`` if it is another one."""
        _log.info("an answer of %s cannot grow: it is not continued", self.label)
        self._anew = anew

    def joined(self) -> bool:
        """What comes is the answering engine's; whether that is another than before."""
        if self._outgrown is None:
            return False
        self._outgrown = None
        self._grew = True
        return True

    def answered(self, usage: Usage) -> None:
        """The answer has come to an end, which may not be the last."""
        if self._outgrown is not None:
            # Of what the larger engine did in vain nothing is known.
            self.left()
        if self._place is not None:
            self._place.answered(usage.total, usage.cached, usage.read)
            self._place = None

    def left(self, *, refused: bool = False) -> None:
        """The request holds no place any more, whatever became of it; harmless when repeated."""
        if self._place is None:
            return
        if refused:
            self._place.refused()
        elif self._begun:
            self._place.answered()
        else:
            self._place.broken_off()
        self._place = None

    def _larger(self, prompt: int, context: int) -> VariantSpec:
        model, variant = self._selection.model, self._lease.variant
        larger = choose_larger(model, variant, prompt, self._selection.output)
        if larger is None:
            limit = context if variant is model.largest else model.largest.capacity
            raise ContextLengthExceeded(model.name, prompt, limit)
        self._selection = replace(
            self._selection, minimum=larger, size=PromptSize(prompt, prompt, Source.ENGINE)
        )
        return larger

    async def broken(self, error: EngineBroke) -> EngineBroke:
        """``error`` with what became of the engine."""
        why = await self._reason(error)
        return EngineBroke(f"The engine {self._lease.variant.label} broke off its answer: {why}")

    async def _reason(self, error: EngineUnreachable | EngineBroke) -> str:
        engine = self._lease.engine
        if not engine.ended:
            await engine.gone(_EXIT_NOTICE)
        return engine.ended or error.message


def decision(variant: VariantSpec, size: PromptSize, facts: RequestFacts) -> dict[str, str]:
    """The headers that tell what was decided, and on what grounds, if it was for its size."""
    told = {"X-Gateway-Variant": variant.label}
    if facts.endpoint.sized and size is not UNCOUNTED:
        told["X-Gateway-Prompt-Tokens"] = f"{size.tokens}; source={size.source.value}"
    return told
