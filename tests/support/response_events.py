"""The events of a stream of the Responses API, and their order."""

from __future__ import annotations

import json
from typing import Any


def events_in(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream, whose names are their types; comments are left out."""
    events = []
    for block in stream.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        [name, data] = lines
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def check_order(events: list[dict[str, Any]]) -> None:
    """Assert that each item begins once, ends once, and says what its deltas say."""
    items: dict[int, dict[str, Any]] = {}
    done: dict[int, dict[str, Any]] = {}
    said: dict[tuple[int, int, str], str] = {}
    for event in events:
        kind, place = event["type"], event.get("output_index", -1)
        if kind == "response.output_item.added":
            assert place == len(items)
            items[place] = event["item"]
        elif kind == "response.output_item.done":
            assert place not in done
            done[place] = event["item"]
        elif place >= 0:
            assert place in items
            assert place not in done
            assert event["item_id"] == items[place]["id"]
            part = event.get("content_index", event.get("summary_index", 0))
            name, _, last = kind.rpartition(".")
            if last == "delta":
                key = place, part, name
                said[key] = said.get(key, "") + event["delta"]
            elif last == "done" and "part" not in event:
                [told] = [event[f] for f in ("text", "arguments", "refusal", "input") if f in event]
                assert told == said.get((place, part, name), "")
    assert items.keys() == done.keys()
    assert events[-1]["response"]["output"] == [done[place] for place in range(len(done))]
