"""models/downloads/faults.py: what a refusal means."""

from __future__ import annotations

import errno

import pytest

from models.downloads.faults import cannot_write, passes, pause, refusal, wait_told
from utils.errors import (
    DiskFull,
    GatewayError,
    HubAccessNotGranted,
    HubAnsweredWrong,
    HubNotFound,
    HubTokenMissing,
    StorageFull,
)

GATED = {"X-Error-Code": "GatedRepo"}


@pytest.mark.parametrize(
    ("status", "headers", "token", "kind", "said"),
    [
        (401, GATED, False, HubTokenMissing, "it needs a token in HF_TOKEN"),
        (401, GATED, True, HubTokenMissing, "the token in HF_TOKEN is not valid"),
        (403, GATED, True, HubAccessNotGranted, "ask for it at PAGE"),
        (401, {}, False, HubNotFound, "or it is private and HF_TOKEN is not set"),
        (401, {}, True, HubNotFound, "The hub has no IT."),
        (404, {}, True, HubNotFound, "The hub has no IT."),
        (451, {}, True, HubAnsweredWrong, "refuses IT with status 451"),
    ],
)
def test_refusals(
    status: int, headers: dict[str, str], token: bool, kind: type[GatewayError], said: str
) -> None:
    error = refusal(status, headers, "IT", "PAGE", token=token)
    assert type(error) is kind
    assert said in error.message


def test_what_passes_is_tried_again() -> None:
    assert [s for s in (200, 401, 404, 408, 425, 429, 500, 503, 599) if passes(s)] == [
        *(408, 425, 429, 500, 503, 599)
    ]


def test_pauses_grow_and_differ_and_the_server_may_ask_for_longer_ones() -> None:
    assert [pause(failed, 1.0) for failed in (1, 2, 3, 5, 50)] == [2, 4, 8, 30, 30]
    assert pause(1, 0.0) == 1.0
    assert pause(1, 0.0, told=9.0) == 9.0
    assert wait_told({"Retry-After": "7"}) == 7.0
    assert wait_told({"Retry-After": "86400"}) == 60.0
    for other in ("Wed, 21 Oct 2026 07:28:00 GMT", "", "-1", "²"):
        assert wait_told({"Retry-After": other}) == 0.0


def test_a_full_disk_is_told_apart_from_one_that_refuses() -> None:
    full = cannot_write("/x", OSError(errno.ENOSPC, "No space left on device"))
    assert type(full) is DiskFull
    other = cannot_write("/x", OSError(errno.EACCES, "Permission denied"))
    assert type(other) is StorageFull
    assert other.message == "/x cannot be written: permission denied."
