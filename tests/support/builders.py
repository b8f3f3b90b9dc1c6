"""Short builders of the specs and requests in tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from engine.llamacpp.type import LlamaCpp
from engine.types import EngineTypes
from models.model_file import FileFacts
from models.planning import GIB
from models.requests import endpoints
from models.requests.reader import RequestFacts, parse
from models.spec import ModelSpec, Timeouts, TokenizationSpec, VariantSpec

if TYPE_CHECKING:
    from collections.abc import Coroutine

_T = TypeVar("_T")
TYPES = EngineTypes([LlamaCpp()])
TIMEOUTS = Timeouts(health_check=5.0, startup=300.0, idle=900.0, stop=10.0)
BARE = TokenizationSpec(
    extra_tokens_per_message=0,
    extra_tokens_per_request=0,
    extra_tokens_per_image=0,
    extra_tokens_per_audio=0,
)
# What the file of a model of 2 GiB says of it.
EIGHT_LAYERS = FileFacts(
    0,
    layers=8,
    width=2048,
    heads=(16,),
    kv_heads=(16,),
    context_length=65536,
    attention=tuple(range(8)),
    bytes_by_layer=(GIB // 4,) * 8,
)


def variant(context: int | None = 4096, model: str = "m", **fields: Any) -> VariantSpec:
    given: dict[str, Any] = {"binary": "/opt/llama/llama-server", "timeouts": TIMEOUTS}
    return VariantSpec(model=model, context=context, **(given | fields))


def model(*contexts: int, name: str = "m", **fields: Any) -> ModelSpec:
    variants = tuple(variant(context, name) for context in contexts or (4096,))
    return ModelSpec(name=name, variants=variants, **fields)


def message(content: object, role: str = "user", **extras: object) -> dict[str, object]:
    return {"role": role, "content": content, **extras}


def chat(*messages: object, **fields: object) -> RequestFacts:
    """Return the facts of a chat; a string is a message of the user."""
    said = [message(m) if isinstance(m, str) else m for m in messages]
    return parse(endpoints.CHAT, json.dumps({"messages": said, **fields}).encode())


def completion(prompt: object, **fields: object) -> RequestFacts:
    return parse(endpoints.COMPLETION, json.dumps({"prompt": prompt, **fields}).encode())


def result_of(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of a coroutine that never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    coroutine.close()
    raise AssertionError("the coroutine waits for something")
