"""Every path that the gateway answers, as one literal list."""

from __future__ import annotations

from enum import Enum

from models.request import Kind


class Page(Enum):
    """The gateway's own pages."""

    MODELS = "models"
    HEALTH = "health"


# What an engine answers, by how the prompt is written. Engines have the same paths.
INFERENCE: dict[str, Kind] = {
    "/v1/chat/completions": Kind.CHAT,
    "/chat/completions": Kind.CHAT,
    "/v1/completions": Kind.COMPLETION,
    "/completions": Kind.COMPLETION,
    "/completion": Kind.COMPLETION,
    "/infill": Kind.INFILL,
    "/v1/responses": Kind.RESPONSES,
    "/responses": Kind.RESPONSES,
    "/v1/messages": Kind.MESSAGES,
    "/v1/embeddings": Kind.EMBEDDINGS,
    "/embeddings": Kind.EMBEDDINGS,
    "/embedding": Kind.EMBEDDINGS,
    "/v1/rerank": Kind.RERANK,
    "/rerank": Kind.RERANK,
    "/v1/reranking": Kind.RERANK,
    "/reranking": Kind.RERANK,
    "/v1/chat/completions/input_tokens": Kind.ASIDE,
    "/chat/completions/input_tokens": Kind.ASIDE,
    "/v1/responses/input_tokens": Kind.ASIDE,
    "/responses/input_tokens": Kind.ASIDE,
    "/v1/messages/count_tokens": Kind.ASIDE,
    "/tokenize": Kind.ASIDE,
    "/detokenize": Kind.ASIDE,
    "/apply-template": Kind.ASIDE,
}

# path → method → what answers
ROUTES: dict[str, dict[str, Kind | Page]] = {
    **{path: {"POST": kind} for path, kind in INFERENCE.items()},
    "/v1/models": {"GET": Page.MODELS, "HEAD": Page.MODELS},
    "/models": {"GET": Page.MODELS, "HEAD": Page.MODELS},
    "/health": {"GET": Page.HEALTH, "HEAD": Page.HEALTH},
}


def model_in(path: str) -> str | None:
    """The model that ``/v1/models/{id}`` names, or None for other paths; ids may hold slashes."""
    for prefix in ("/v1/models/", "/models/"):
        if path.startswith(prefix) and len(path) > len(prefix):
            return path.removeprefix(prefix)
    return None
