"""Items of a conversation: texts, sounds, calls of functions."""

from __future__ import annotations

from typing import Any

import pytest

from utils.errors import BadRequest
from voice.fields import Fields
from voice.realtime.items import content_of, item_of
from voice.realtime.options import PCM, ULAW


def test_a_message_of_texts_and_sounds() -> None:
    parts = [{"text": "see:"}, {"transcript": "heard", "audio": "AA=="}, {"audio": "AAAAAA=="}]
    fields = Fields({"role": "user", "content": parts})
    item = item_of(fields, "one", PCM)
    assert item.has_sound
    assert item.entry.text == "see:\nheard"
    assert isinstance(item.parts[2], bytes)
    assert len(item.parts[2]) == 44 + 4
    # The sound itself is not told again.
    assert content_of(fields) == [{"text": "see:"}, {"transcript": "heard"}, {}]
    assert item.shown([])["role"] == "user"
    telephone = item_of(Fields({"content": [parts[2]]}), "two", ULAW)
    assert isinstance(telephone.parts[0], bytes)
    assert len(telephone.parts[0]) == 44 + 4 * 3 * 2


def test_calls_and_their_results() -> None:
    call = item_of(Fields({"type": "function_call", "call_id": "c", "name": "clock"}), "a", PCM)
    assert call.entry.calls[0].arguments == "{}"
    assert call.shown(None)["name"] == "clock"
    output = {"type": "function_call_output", "call_id": "c", "output": "noon"}
    result = item_of(Fields(output), "b", PCM)
    assert (result.entry.role, result.entry.call, result.entry.text) == ("tool", "c", "noon")
    assert result.shown(None)["output"] == "noon"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "song"},
        {"role": "king"},
        {"content": "hello"},
        {"content": [{"image_url": "data:"}]},
        {"content": [{"audio": "%"}]},
    ],
)
def test_faults(item: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        item_of(Fields(item), "x", PCM)
