"""The pages of LM Studio's API about models. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.requests.fields import Json
    from models.spec import VariantSpec
    from server.codecs.known import Known

_UNKNOWN = "unknown"


def models_page(known: Iterable[Known], loaded: Mapping[str, VariantSpec]) -> Json:
    """Return the page ``/api/v0/models``; ``loaded`` has the variants that run, by their models."""
    return {"object": "list", "data": [model_page(each, loaded) for each in known]}


def model_page(known: Known, loaded: Mapping[str, VariantSpec]) -> Json:
    """Return the page ``/api/v0/models/{id}``.

    The context is the largest that is configured, and that of the variant that runs.
    """
    file, able = known.file, known.able.certain
    running = loaded.get(known.model.name)
    kind = "vlm" if "vision" in able else "llm"
    page: Json = {
        "id": known.name,
        "object": "model",
        "type": kind if "text" in able or "embeddings" not in able else "embeddings",
        "publisher": "llm-gateway",
        "arch": (file.facts.architecture if file else "") or _UNKNOWN,
        "compatibility_type": file.format if file else _UNKNOWN,
        "quantization": (file.facts.quantisation if file else "") or _UNKNOWN,
        "state": "not-loaded" if running is None else "loaded",
        "max_context_length": known.context,
        "capabilities": ["tool_use"] if "tools" in able else [],
    }
    if running is not None and running.context:
        page["loaded_context_length"] = running.context
    return page
