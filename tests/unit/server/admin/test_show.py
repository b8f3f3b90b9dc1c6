"""What a person reads of a gateway that runs."""

from __future__ import annotations

from typing import Any

import pytest

from server.admin.show import reload_text, status_text, time_text

ENGINE: dict[str, Any] = {
    "model": "smol",
    "variant": "smol@512",
    "context": 512,
    "state": "ready",
    "pid": 1,
    "url": "http://127.0.0.1:38791",
    "memory": {"ram": 145338368},
    "active": 1,
    "parallel": 4,
    "state_carry": "on",
    "ready_seconds_ago": 61.0,
}
NOTHING: dict[str, Any] = {"engines": [], "requests": [], "queue": []}


def test_engines_requests_and_the_queue() -> None:
    running = {
        "engines": [
            ENGINE,
            {**ENGINE, "variant": "smol@1024", "memory": {}, "active": 0, "idle_seconds": 3.0}
            | {"unload_in_seconds": 7.0},
            {**ENGINE, "model": "big", "variant": "big@8192", "state": "backoff", "active": 0}
            | {"memory": {}, "reason": "no memory", "retry_in_seconds": 7000.0},
        ],
        "requests": [
            {
                "id": "5614be-4",
                "path": "/v1/chat/completions",
                "client": "127.0.0.1",
                "model": "smol",
                "variant": "smol@512",
                "state": "streaming",
                "age_seconds": 1.507,
                "prompt_tokens": 89,
                "tokens": 192,
            }
        ],
        "queue": [
            {
                "position": 1,
                "id": "5614be-5",
                "model": "big",
                "context": 8192,
                "priority": "normal",
                "waited_seconds": 0.25,
                "waits_for": "room",
            }
        ],
    }
    running["engines"][2].pop("ready_seconds_ago")
    models = [{"id": "smol"}, {"id": "big"}, {"id": "other"}]
    assert status_text(running, models) == (
        """\
MODEL  VARIANT  STATE                REQUESTS  MEMORY       SINCE
smol   512      ready                1 of 4    ram 139 MiB  ready for 1 min 1 s
smol   1024     ready                0 of 4                 idle for 3.0 s, unloads in 7.0 s
big    8192     backoff (no memory)  0 of 4                 tried again in 1 h 56 min
other           not loaded

REQUEST   STATE      MODEL     CLIENT     AGE    TOKENS
5614be-4  streaming  smol@512  127.0.0.1  1.5 s  89 + 192

TURN  REQUEST   MODEL  WAITED  FOR
1     5614be-5  big    0.2 s   room
"""
    )  # fmt: skip


def test_a_column_without_anything_is_left_out() -> None:
    assert status_text(NOTHING, [{"id": "a"}]) == "MODEL  STATE\na      not loaded\n"


def test_an_engine_that_starts_and_one_that_stays() -> None:
    starting = {**ENGINE, "state": "starting", "started_seconds_ago": 2.0}
    starting.pop("ready_seconds_ago")
    kept = {**ENGINE, "idle_seconds": 1.0, "unload_in_seconds": None}
    text = status_text({**NOTHING, "engines": [starting, kept]}, [])
    assert "started 2.0 s ago" in text
    assert "idle for 1.0 s, stays" in text


def test_what_a_reload_changed() -> None:
    changes: dict[str, Any] = {
        "models": {"added": ["n"], "removed": ["o"], "changed": {"m": ["aliases", "group"]}},
        "variants": {
            "added": ["m@1"],
            "removed": ["m@2"],
            "redefined": {"m@3": ["args"]},
            "adjusted": {"m@4": ["parallel"]},
        },
        "settings": {"max_queue": "64 → 1"},
        "groups": True,
        "needs_restart": ["state_dir"],
    }
    assert reload_text(changes).splitlines() == [
        "model n: added",
        "model o: removed",
        "model m: aliases, group",
        "variant m@1: added",
        "variant m@2: removed",
        "variant m@3: args; its engine is replaced",
        "variant m@4: parallel",
        "server.max_queue: 64 → 1",
        "groups: changed",
        "server.state_dir: needs a restart",
    ]
    nothing: dict[str, Any] = {
        "models": {"added": [], "removed": [], "changed": {}},
        "variants": {"added": [], "removed": [], "redefined": {}, "adjusted": {}},
        "settings": {},
        "groups": False,
        "needs_restart": [],
    }
    assert reload_text(nothing) == "nothing has changed\n"


def test_an_alias_is_no_row_of_its_own() -> None:
    models = [{"id": "smol"}, {"id": "small", "alias_of": "smol"}, {"id": "big"}]
    lines = status_text(NOTHING, models).splitlines()
    assert [line.split()[0] for line in lines] == ["MODEL", "smol", "big"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7.04, "7.0 s"),
        (59.4, "59 s"),
        (899.8, "15 min 0 s"),
        (3599.7, "1 h 0 min"),
        (7199.9, "2 h 0 min"),
    ],
)
def test_a_time_has_no_sixty_seconds(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
