"""Tell clients which base URL to set: a page at the root, and a hint for unknown paths. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOUBLED = "/v1/v1/"
# Where a client of Ollama asks whose base URL has a path.
_BELOW = ("/v1/api/", "/api/api/")
# What OpenAI and Anthropic have and this gateway has not.
_NOT_SERVED = {
    "assistants": "assistants",
    "batches": "batches",
    "evals": "evaluations",
    "files": "files",
    "fine_tuning": "fine-tuning",
    "messages/batches": "batches",
    "moderations": "moderations",
    "realtime": "realtime calls by WebRTC",
    "threads": "assistants",
    "uploads": "files",
    "vector_stores": "vector stores",
    "videos": "videos",
}
# What Ollama says at its root, and the names by which its clients call themselves.
ROOT_OF_OLLAMA = b"Ollama is running"
_OLLAMA = ("ollama/", "ollama-")


def address_of(headers: Mapping[str, str], scheme: str, host: str) -> str:
    """Return the gateway's URL as the client sees it, also behind a proxy that ends TLS."""
    forwarded = headers.get("X-Forwarded-Proto", "").strip().lower()
    return f"{forwarded if forwarded in ('http', 'https') else scheme}://{host}"


def is_ollamas(headers: Mapping[str, str]) -> bool:
    """Return whether one of Ollama's own clients asks."""
    return headers.get("User-Agent", "").lower().startswith(_OLLAMA)


def wants_page(headers: Mapping[str, str]) -> bool:
    """Return whether the request is a browser's that wants a page to show."""
    kinds = (part.partition(";")[0].strip() for part in headers.get("Accept", "").split(","))
    return "text/html" in kinds


def root_page(address: str) -> dict[str, Any]:
    """Return the page at ``/`` and ``/v1``: where each kind of client finds the gateway."""
    return {
        "object": "gateway",
        "name": "LLM Gateway",
        "base_urls": {"openai": f"{address}/v1", "anthropic": address, "ollama": address},
        "models": f"{address}/v1/models",
        "health": f"{address}/health",
    }


def hint(path: str, address: str) -> str:
    """Return what helps a client that asked for ``path``, where nothing is served."""
    if path.startswith(_DOUBLED):
        return f"This client adds /v1 to its base URL itself: set that to {address}."
    if path.startswith(_BELOW):
        return (
            f"Clients of Ollama's API add /api to their base URL themselves: set it to {address}."
        )
    for name, what in _NOT_SERVED.items():
        if f"{path}/".startswith(f"/v1/{name}/"):
            return f"This gateway has no {what}."
    return (
        f"The base URL is {address}/v1 for OpenAI's clients,"
        f" and {address} for Anthropic's and Ollama's."
    )
