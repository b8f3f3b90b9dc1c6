"""server/records/row.py: one ended request as plain values."""

from __future__ import annotations

from typing import Any

import pytest

from engine.scheduling.queue import Priority
from engine.scheduling.waits import Wait
from inference.usage import Usage
from models.requests.amount import Amount, Unit
from server.access_log import AccessRecord
from server.records.row import row_of


class Asker:
    """Who asks by a key."""

    client = "account-7"
    account_id, key_id = 7, 3
    priority = Priority.NORMAL
    pays = False

    def may(self, scope: str) -> bool:
        return bool(scope)


def record(**facts: Any) -> AccessRecord:
    made = AccessRecord("POST", path="/v1/chat/completions", started=10.0, id="a-1")
    made.status = 200
    for name, fact in facts.items():
        setattr(made, name, fact)
    return made


def test_an_answer_with_all_its_numbers() -> None:
    made = record(
        client="0a",
        address="::1",
        caller=Asker(),
        model="m",
        variant="m@512",
        prompt=30,
        counted=True,
        completion=4,
        usage=Usage(30, 4, 20, (10, 0.1234), writing=0.5),
        queued=0.0,
        loading=1.00049,
        first=1.5,
    )
    made.tally.add(b'data: {"choices":[{"finish_reason":"length"}]}\n\n')
    assert row_of(made, 12.0) == {
        "id": "a-1",
        "path": "/v1/chat/completions",
        "client": "0a",
        "address": "::1",
        "account": 7,
        "key": 3,
        "model": "m",
        "variant": "m@512",
        "status": 200,
        "reason": "length",
        "error": None,
        "streamed": True,
        "prompt_tokens": 30,
        "cached_tokens": 20,
        "completion_tokens": 4,
        "sound_seconds": None,
        "characters": None,
        "counted": "engine",
        "reasons": None,
        "queue_seconds": 0.0,
        "load_seconds": 1.0,
        "first_token_seconds": 1.5,
        "prefill_seconds": 0.123,
        "decode_seconds": 0.5,
        "total_seconds": 2.0,
    }


def test_sound_and_speech_have_their_own_units() -> None:
    heard = row_of(record(amount=Amount(3.25, Unit.SECONDS)), 12.0)
    assert (heard["sound_seconds"], heard["characters"]) == (3.25, None)
    spoken = row_of(record(amount=Amount(57, Unit.CHARACTERS)), 12.0)
    assert (spoken["sound_seconds"], spoken["characters"]) == (None, 57)


@pytest.mark.parametrize(
    ("facts", "reason", "error", "counted"),
    [
        ({"note": "client left", "status": 499}, "client", None, None),
        ({"status": 499, "usage": Usage(3, 2, estimated=True)}, "client", None, "relayed"),
        ({"note": "RequestCancelled", "cancelled": True}, "cancelled", "RequestCancelled", None),
        ({"note": "QueueFull", "failed": 429, "prompt": 9}, "error", "QueueFull", "estimate"),
        ({"status": 400}, "error", None, None),
        ({}, None, None, None),
    ],
)
def test_who_ended_it(
    facts: dict[str, Any], reason: str | None, error: str | None, counted: str | None
) -> None:
    row = row_of(record(**facts), 11.0)
    assert (row["reason"], row["error"], row["counted"]) == (reason, error, counted)
    assert row["status"] == facts.get("failed", facts.get("status", 200))


def test_the_reasons_for_a_wait_are_part_of_it() -> None:
    wait = Wait("slot", "m@512", 2, ("m@512",)).view()
    assert row_of(record(reasons=(wait,)), 11.0)["reasons"] == [wait]


def test_an_answer_in_one_piece() -> None:
    made = record()
    made.tally.whole = b'{"choices":[{"finish_reason":"stop"}]}'
    row = row_of(made, 11.0)
    assert (row["reason"], row["streamed"]) == ("stop", False)
