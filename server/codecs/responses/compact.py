"""``/v1/responses/compact``: a conversation becomes its user's messages and one summary. Pure.

The model of the request writes the summary. A later request goes on from the output as from any
input, with far fewer tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.codecs.responses.items import compaction
from utils.errors import EngineRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.requests.fields import Json

_KEPT = ("model", "instructions", "previous_response_id")
# Tokens of a summary, at most, and the words that ask for it.
_LONGEST = 2048
_WISH = (
    "Summarize our conversation so far, so that you can go on from the summary alone. Keep the"
    " goal, decisions, names, numbers, file paths, results of tools, and what is still to be done."
    " Write nothing but the summary."
)


def summary_request(request: Json) -> Json:
    """Return the request for the summary: the client's, with the wish as its last message."""
    given = request.get("input")
    if given is None or isinstance(given, str):
        given = [_said(given)] if given else []
    items = [*given, _said(_WISH)] if isinstance(given, list) else given
    fields = {name: request[name] for name in _KEPT if request.get(name) is not None}
    own = {"store": False, "truncation": "auto", "max_output_tokens": _LONGEST}
    return {**fields, **own, "input": items}


def compacted(response: Json, key: str, earlier: Sequence[Json], items: Sequence[Json]) -> Json:
    """Return the compaction whose summary ``response`` is; the last of ``items`` is the wish.

    Raises EngineRefused if there is no summary: what it should tell would be lost.
    """
    said = [*earlier, *items[:-1]]
    kept = [item for item in said if item["type"] == "message" and item["role"] == "user"]
    summary = "".join(
        part.get("text", "")
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )
    if not summary.strip():
        raise EngineRefused("The model wrote no summary.")
    return {
        "id": key,
        "object": "response.compaction",
        "created_at": response["created_at"],
        "output": [*kept, compaction(summary)],
        "usage": response["usage"],
    }


def _said(text: str) -> Json:
    return {"type": "message", "role": "user", "content": text}
