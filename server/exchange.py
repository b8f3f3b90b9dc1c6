"""One request and the engine that answers it: the tries until an answer has begun."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from models.selector import Selection, choose_larger
from models.sizing import PromptSize, Source
from server.headers import to_engine, to_engine_unread
from utils.errors import ContextLengthExceeded, EngineBroke, EngineUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import CIMultiDict

    from engine.lease import Lease
    from engine.manager import EngineManager
    from engine.upstream import UpstreamResponse
    from models.request import RequestFacts
    from models.spec import VariantSpec

_BAD_REQUEST = 400
# A connection that breaks because the engine died is seen before its exit is.
_EXIT_NOTICE = 0.5


class Exchange:
    """Holds a lease and the selection it was taken for; both follow the engine's word."""

    def __init__(
        self, manager: EngineManager, lease: Lease, selection: Selection, facts: RequestFacts
    ) -> None:
        self._manager = manager
        self._lease = lease
        self._selection = selection
        self._facts = facts

    def decision(self) -> dict[str, str]:
        """The headers that tell which engine answers."""
        told = decision(self._lease.variant, self._selection.size, self._facts)
        wanted = self._selection.minimum
        if self._lease.variant.context < wanted.context:
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
        return await self._open(path, to_engine_unread(headers), method)

    async def _open(self, path: str, headers: CIMultiDict[str], method: str) -> UpstreamResponse:
        if self._facts.stream:
            # llama-server closes the connection after a stream, whatever its headers promise;
            # the next request in the queue would be sent into that.
            headers["Connection"] = "close"
        else:
            # An engine would go on with an answer that nobody can read again.
            headers.popall("X-Conversation-Id", None)
        tried = False
        body = self._facts.upload or self._facts.body
        while True:
            try:
                upstream = await self._lease.client.forward(path, headers, body, method)
            except (EngineUnreachable, EngineBroke) as error:
                if tried:
                    why = await self._reason(error)
                    label = self._lease.variant.label
                    raise EngineUnreachable(f"The engine {label} gave no answer: {why}") from error
                tried = True
                await self._manager.again(self._lease, self._lease.minimum)
                continue
            refused = overflow(upstream)
            if refused is None:
                return upstream
            upstream.close()
            await self._manager.again(self._lease, self._larger(*refused))

    def _larger(self, prompt: int, context: int) -> VariantSpec:
        model, variant = self._selection.model, self._lease.variant
        larger = choose_larger(model, variant, prompt, self._selection.output)
        if larger is None:
            limit = context if variant is model.largest else model.largest.context
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
    if facts.kind.sized:
        told["X-Gateway-Prompt-Tokens"] = f"{size.tokens}; source={size.source.value}"
    return told


def overflow(upstream: UpstreamResponse) -> tuple[int, int] | None:
    """Prompt tokens and context of an ``exceed_context_size_error``; None for other answers."""
    if upstream.status != _BAD_REQUEST:
        return None
    try:
        error = orjson.loads(upstream.first)["error"]
        if error["type"] != "exceed_context_size_error":
            return None
        return int(error["n_prompt_tokens"]), int(error["n_ctx"])
    except (ValueError, KeyError, TypeError):
        return None
