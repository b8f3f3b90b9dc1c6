"""One request and the engine that answers it: the tries until an answer has begun."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from engine.logtail import last_meaningful
from models.selector import Selection, choose_larger
from models.sizing import PromptSize, Source
from server.headers import to_engine
from utils.errors import ContextLengthExceeded, EngineBroke, EngineUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.client import UpstreamResponse
    from engine.manager import EngineManager, Lease
    from models.request import RequestFacts
    from models.spec import VariantSpec

_BAD_REQUEST = 400


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
        """The headers that tell what was decided, and on what grounds."""
        size = self._selection.size
        return {
            "X-Gateway-Variant": self._lease.variant.label,
            "X-Gateway-Prompt-Tokens": f"{size.tokens}; source={size.source.value}",
        }

    async def open(
        self, path: str, headers: Mapping[str, str], method: str = "POST"
    ) -> UpstreamResponse:
        """The engine's answer has begun; whatever happened before it, the client saw nothing.

        A crash before the first byte is tried once more. A prompt that the engine refuses
        for its length moves to the variant that holds it; ContextLengthExceeded when there
        is none.
        """
        headers = to_engine(headers)
        if self._facts.stream:
            # llama-server closes the connection after a stream, whatever its headers promise;
            # the next request in the queue would be sent into that.
            headers["Connection"] = "close"
        tried = False
        while True:
            try:
                upstream = await self._lease.client.forward(path, headers, self._facts.body, method)
            except (EngineUnreachable, EngineBroke) as error:
                if tried:
                    raise self._explained(error) from error
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

    def _explained(self, error: EngineUnreachable | EngineBroke) -> EngineUnreachable:
        said = last_meaningful(self._lease.engine.tail)
        last = f" Last line of its log: {said}" if said else ""
        return EngineUnreachable(f"{self._lease.variant.label}: {error.message}{last}")


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
