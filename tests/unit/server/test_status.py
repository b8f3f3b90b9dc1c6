"""server/status.py: what the gateway shows of itself."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from builders import TYPES, model

from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import EngineRecord
from models.catalog import Catalog
from server.status import health_view, model_view, models_view

QWEN = model(4096, 8192, name="qwen", aliases=("gpt-4o", "q"))
TINY = model(2048, name="tiny")
ABLE = {each.name: TYPES.capabilities(each) for each in (QWEN, TINY)}


def records(*states: State) -> list[EngineRecord]:
    variants = (*QWEN.variants, *TINY.variants)
    return [EngineRecord(v, s) for v, s in zip(variants, states, strict=True)]


def test_every_model_is_listed_whether_loaded_or_not() -> None:
    shown = models_view(
        Catalog([QWEN, TINY], None),
        ABLE,
        records(State.STOPPED, State.READY, State.STOPPED),
        1700000000,
    )
    assert shown == {
        "object": "list",
        "data": [
            {
                "id": "qwen",
                "object": "model",
                "created": 1700000000,
                "owned_by": "llm-gateway",
                "aliases": ["gpt-4o", "q"],
                "context_length": 8192,
                "capabilities": ["text"],
                "type": "text",
                "state": "ready",
                "variants": [4096, 8192],
                "load_seconds": {"4096": None, "8192": None},
                "free_slots": 1,
                "loadable": True,
            },
            {
                "id": "tiny",
                "object": "model",
                "created": 1700000000,
                "owned_by": "llm-gateway",
                "aliases": [],
                "context_length": 2048,
                "capabilities": ["text"],
                "type": "text",
                "state": "stopped",
                "variants": [2048],
                "load_seconds": {"2048": None},
                "free_slots": 0,
                "loadable": True,
            },
        ],
    }
    json.dumps(shown)


def test_an_alias_has_an_entry_of_its_own_after_its_model() -> None:
    stopped = records(*[State.STOPPED] * 3)
    shown = models_view(Catalog([QWEN, TINY]), ABLE, stopped, 5, aliases=True)["data"]
    assert [(entry["id"], entry.get("alias_of")) for entry in shown] == [
        ("qwen", None),
        ("gpt-4o", "qwen"),
        ("q", "qwen"),
        ("tiny", None),
    ]
    assert shown[1] == {**shown[0], "id": "gpt-4o", "alias_of": "qwen"}


def test_how_long_a_variant_took_to_load() -> None:
    measured = records(*[State.STOPPED] * 3)
    measured[1].load_seconds = 2.34567
    shown = model_view(QWEN, ABLE, measured, 5)
    assert shown["load_seconds"] == {"4096": None, "8192": 2.346}


def test_one_model_is_shown_as_in_the_list() -> None:
    stopped = records(*[State.STOPPED] * 3)
    listed = models_view(Catalog([QWEN, TINY], None), ABLE, stopped, 5)["data"]
    assert [model_view(model, ABLE, stopped, 5) for model in (QWEN, TINY)] == listed


@pytest.mark.parametrize(
    ("small", "large", "told"),
    [
        (State.STOPPED, State.STOPPED, "stopped"),
        (State.READY, State.STOPPED, "ready"),
        (State.STOPPED, State.STARTING, "starting"),
        (State.BACKOFF, State.STOPPED, "backoff"),
        (State.STOPPED, State.FAILED, "failed"),
        (State.FAILED, State.READY, "ready"),
        (State.STOPPING, State.BACKOFF, "stopping"),
        (State.BACKOFF, State.ABORTING, "aborting"),
        (State.DRAINING, State.FAILED, "draining"),
    ],
)
def test_a_model_shows_the_most_telling_state_of_its_variants(
    small: State, large: State, told: str
) -> None:
    shown = models_view(Catalog([QWEN, TINY]), ABLE, records(small, large, State.STOPPED), 0)
    assert [entry["state"] for entry in shown["data"]] == [told, "stopped"]


def test_health_of_a_gateway_at_rest() -> None:
    assert health_view(records(*[State.STOPPED] * 3), 0, closing=False) == {
        "status": "ok",
        "waiting": 0,
        "engines": [],
    }


def test_health_tells_each_engine_that_is_not_simply_stopped() -> None:
    shown = records(State.BACKOFF, State.READY, State.STOPPED)
    shown[0].reason = "exit status 1: no such file"
    shown[1].active = {7, 8}
    assert health_view(iter(shown), 3, closing=True) == {
        "status": "shutting down",
        "waiting": 3,
        "engines": [
            {
                "model": "qwen",
                "variant": "qwen@4096",
                "context": 4096,
                "state": "backoff",
                "active": 0,
                "reason": "exit status 1: no such file",
            },
            {
                "model": "qwen",
                "variant": "qwen@8192",
                "context": 8192,
                "state": "ready",
                "active": 2,
            },
        ],
    }


def test_a_model_by_its_file_shows_its_size_and_its_memory() -> None:
    small, large = QWEN.variants
    estimated = replace(large, estimated={"ram": 5, "gpu0": 7})
    model = replace(QWEN, variants=(small, estimated), size=123, quantisation="Q4_K_M")
    shown = model_view(model, ABLE, [], 5, learnt={large.label: {"ram": 4}})
    assert (shown["size"], shown["quantisation"]) == (123, "Q4_K_M")
    assert shown["memory"] == {
        str(large.context): {"estimated": {"ram": 5, "gpu0": 7}, "learnt": {"ram": 4}}
    }
    assert {"size", "memory"}.isdisjoint(model_view(QWEN, ABLE, [], 5))
