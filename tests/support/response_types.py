"""Checks of the Responses API's answers by OpenAI's own types."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from response_events import check_order, events_in
from sdk_types import sdk_type

EVENT: TypeAdapter[Any] = TypeAdapter(
    sdk_type("openai.types.responses.response_stream_event", "ResponseStreamEvent")
)
_WHOLE = sdk_type("openai.types.responses.response", "Response")
_ENDS = ("response.completed", "response.incomplete", "response.failed")


def checked(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a whole stream, each of which OpenAI's types know."""
    events = events_in(stream)
    for event in events:
        EVENT.validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"] for event in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] in _ENDS
    assert not set(kinds[:-1]) & set(_ENDS)
    check_order(events)
    return events


def check_whole(response: dict[str, Any]) -> None:
    """Return if OpenAI's types know the response."""
    _WHOLE.model_validate(response)
