"""What one configuration changes in another."""

from __future__ import annotations

from dataclasses import fields, replace
from math import inf
from typing import Any

import pytest
from builders import TIMEOUTS, model, variant

from models.catalog import Catalog
from models.changes import NEEDS_RESTART, Changes, applied, changes
from models.spec import GroupSpec, ModelSpec, TokenizationSpec, VariantSpec
from utils.config.settings import ServerSettings

SETTINGS = ServerSettings()
M = model(4096, 8192)
DIFFERENT_VARIANT: dict[str, Any] = {
    "binary": "/other/llama-server",
    "args": ("-ngl", "99"),
    "env": {"A": "1"},
    "timeouts": replace(TIMEOUTS, idle=1.0),
    "parallel": 2,
    "needs": {"gpu": 1},
    "estimated": {"ram": 1},
    "state_carry": True,
    "engine": "another",
    "url": "http://127.0.0.1:9",
    "api_key": "k",
    "api_key_env": "KEY",
    "endpoints": ("/v1/embeddings",),
    "health_path": "/ready",
    "ready_status": 204,
    "stop_signal": "SIGINT",
    "count": "vllm",
    "on_ready": ("true",),
    "on_stop": ("true",),
    "max_seconds": 9.0,
    "wake": ("true",),
}
DIFFERENT_MODEL: dict[str, Any] = {
    "voices": (("eve", "en"),),
    "aliases": ("other",),
    "connect": "http://127.0.0.1:9",
    "group": "g",
    "pinned": True,
    "grow_answers": True,
    "grow_ahead": True,
    "tokenization": TokenizationSpec(extra_tokens_per_message=1),
    "capabilities": frozenset({"text"}),
    "set_params": {"a": 1},
    "strip_params": ("b",),
    "upstream_model": "up",
    "alias_params": {"other": {"a": 1}},
    "found": True,
    "size": 5,
    "quantisation": "Q8_0",
    "max_seconds": 9.0,
    "max_characters": 9,
    "copies": ("copied",),
    "unlisted": True,
    "fallback": ("other",),
    "peer": "box",
    "metadata": {"a": 1},
}


def of_models(before: list[ModelSpec], after: list[ModelSpec]) -> Changes:
    return changes((SETTINGS, Catalog(before)), (SETTINGS, Catalog(after)))


def of_settings(**after: object) -> Changes:
    changed = replace(SETTINGS, **after)  # type: ignore[arg-type]  # of any field
    return changes((SETTINGS, Catalog([M])), (changed, Catalog([M])))


def test_nothing() -> None:
    found = of_models([M], [model(4096, 8192)])
    assert not found
    assert found.kept == {"m@4096", "m@8192"}
    assert found.lines() == []
    assert found.stale == ()


def test_the_order_of_models_is_no_change() -> None:
    assert not of_models([M, model(name="n")], [model(name="n"), M])


def test_models_come_and_go() -> None:
    found = of_models([M], [model(name="n")])
    assert (found.added, found.removed) == (("n",), ("m",))
    assert found.lines() == ["model n: added", "model m: removed"]
    assert found.kept == frozenset()
    assert found.stale == ("m",)


def test_variants_come_and_go() -> None:
    found = of_models([M], [model(8192, 16384)])
    assert (found.variants_added, found.variants_removed) == (("m@16384",), ("m@4096",))
    assert found.kept == {"m@8192"}
    assert found.stale == ("m",)
    assert found.lines() == ["variant m@16384: added", "variant m@4096: removed"]


def test_every_field_of_a_variant_has_its_rule() -> None:
    assert {*DIFFERENT_VARIANT} == {f.name for f in fields(VariantSpec) if f.init} - {
        "model",
        "context",
        "name",
    }


@pytest.mark.parametrize("name", DIFFERENT_VARIANT)
def test_a_variant_that_differs(name: str) -> None:
    after = ModelSpec("m", (variant(4096, **{name: DIFFERENT_VARIANT[name]}), variant(8192)))
    found = of_models([M], [after])
    ends = {"binary", "args", "env", "engine", "url", "api_key", "api_key_env", "max_seconds"}
    goes_on = name not in ends
    assert found.adjusted == ({"m@4096": (name,)} if goes_on else {})
    assert found.redefined == ({} if goes_on else {"m@4096": (name,)})
    assert found.kept == ({"m@4096", "m@8192"} if goes_on else {"m@8192"})
    assert found.lines()[0].startswith(f"variant m@4096: {name}")
    assert found.stale == ("m",)


def test_a_variant_that_differs_in_both_ways_does_not_go_on() -> None:
    after = ModelSpec("m", (variant(4096, parallel=2, args=("-x",)), variant(8192)))
    assert of_models([M], [after]).redefined == {"m@4096": ("args", "parallel")}


def test_every_field_of_a_model_is_compared() -> None:
    assert {*DIFFERENT_MODEL} == {f.name for f in fields(ModelSpec) if f.init} - {
        "name",
        "variants",
    }


@pytest.mark.parametrize("name", DIFFERENT_MODEL)
def test_a_model_that_differs(name: str) -> None:
    after = replace(M, **{name: DIFFERENT_MODEL[name]})
    found = of_models([M], [after])
    assert found.models == {"m": (name,)}
    elsewhere = name in {"connect", "max_seconds"}
    assert found.kept == (frozenset() if elsewhere else {"m@4096", "m@8192"})
    assert {*found.redefined} == ({"m@4096", "m@8192"} if elsewhere else {*()})
    assert found.stale == ("m",)


def test_numbers_are_shown_and_the_rest_only_named() -> None:
    found = of_settings(max_queue=5, shrink_after=1.5, cors_origins=("https://secret.example",))
    assert found.settings == {
        "max_queue": "64 → 5",
        "shrink_after": "300 → 1.5",
        "cors_origins": "changed",
    }
    assert "server.max_queue: 64 → 5" in found.lines()
    assert "secret" not in str(found.shown())
    assert found.kept == {"m@4096", "m@8192"}


def test_never_is_shown_as_it_is_written() -> None:
    found = of_settings(engine_idle_timeout=inf)
    assert found.settings == {"engine_idle_timeout": "900 → never"}


def test_what_needs_a_restart_is_named() -> None:
    assert of_settings(listen_v6="[::1]:7777").restart == ("listen_v6",)
    assert of_settings(listen_v4="127.0.0.1:1").restart == ("listen_v4",)
    found = of_settings(state_dir="/elsewhere")
    assert found.restart == ("state_dir",)
    assert found.lines() == ["server.state_dir: needs a restart"]
    assert found
    assert not found.settings


def test_groups() -> None:
    before = SETTINGS, Catalog([M])
    after = SETTINGS, Catalog([M], groups=[GroupSpec("g", persistent=True)])
    assert changes(before, after).lines() == ["groups: changed"]


def test_as_json() -> None:
    after = ModelSpec("m", (variant(4096, args=("-x",)), variant(8192, parallel=3)), ("alias",))
    found = changes(
        (SETTINGS, Catalog([M])),
        (replace(SETTINGS, max_queue=1, state_dir="/x"), Catalog([after, model(name="n")])),
    )
    assert found.shown() == {
        "models": {"added": ["n"], "removed": [], "changed": {"m": ["aliases"]}},
        "variants": {
            "added": [],
            "removed": [],
            "redefined": {"m@4096": ["args"]},
            "adjusted": {"m@8192": ["parallel"]},
        },
        "settings": {"max_queue": "64 → 1"},
        "groups": False,
        "routes": False,
        "peers": False,
        "needs_restart": ["state_dir"],
    }


def test_what_is_applied_keeps_what_needs_a_restart_and_models_that_are_the_same() -> None:
    before = SETTINGS, Catalog([M, model(name="n")])
    wanted = replace(SETTINGS, max_queue=1, state_dir="/x", listen_v4="none")
    same, other = model(4096, 8192), model(16384, name="n")
    settings, catalog = applied(before, (wanted, Catalog([other, same], "n")))
    assert settings == replace(SETTINGS, max_queue=1)
    assert catalog.find("m") is M
    assert catalog.find("n") is other
    assert catalog.default == "n"
    assert [each.name for each in catalog.models] == ["n", "m"]
    # Asked again, it says again what waits for a restart.
    again = changes((settings, catalog), (wanted, Catalog([other, same], "n")))
    assert again.restart == ("listen_v4", "state_dir")
    assert {name for name in NEEDS_RESTART if not hasattr(SETTINGS, name)} == set()
