"""engine/llamacpp/planned.py: the variants of a model by its file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import EIGHT_LAYERS

from engine.llamacpp.arguments import Arguments
from engine.llamacpp.capabilities import Known, deduced
from engine.llamacpp.planned import Planner
from models.catalog import Catalog
from models.discovery.inventory import Entry
from models.planning import GIB, MachineMemory
from utils.config.local_models import LaunchOptions
from utils.config.settings import ServerSettings

ENTRY = Entry("org/a:Q4_0", "/m/a.gguf", ("/m/a.gguf",), 100, ("a",), facts=EIGHT_LAYERS)


SERVER = "/bin/llama-server"


def table(
    entry: Entry = ENTRY, ram: float = 12, gpus: tuple[float, ...] = (), **options: Any
) -> dict[str, Any]:
    return made(options, Planner(machine(ram, *gpus), SERVER), entry)


def machine(ram: float, *gpus: float) -> MachineMemory:
    return MachineMemory(int(ram * GIB), tuple(int(gpu * GIB) for gpu in gpus))


def made(options: dict[str, Any], planner: Planner, entry: Entry = ENTRY) -> dict[str, Any]:
    found = planner.table(entry, LaunchOptions(**options))
    assert isinstance(found, dict), found
    return found


def words(**options: Any) -> list[str]:
    (variant, *_) = table(**options)["variants"]
    return list(variant["args"])


def test_each_planned_context_is_a_variant() -> None:
    catalog = Catalog.from_tables([table()], ServerSettings())
    model = catalog.find("a")
    assert model.name == "org/a:Q4_0"
    assert [variant.label for variant in model.variants] == ["org/a:Q4_0@8192", "org/a:Q4_0@32768"]
    for variant in model.variants:
        assert variant.binary == "/bin/llama-server"
        said = Arguments(variant.args, {})
        assert said.files() == ["/m/a.gguf"]
        # The gateway reckons with the whole context for one request.
        assert said.slot_context() == variant.context


def test_a_projector_is_passed() -> None:
    (variant, *_) = table(replace(ENTRY, projector="/m/mmproj.gguf"))["variants"]
    assert Arguments(variant["args"], {}).files() == ["/m/a.gguf", "/m/mmproj.gguf"]


@pytest.mark.parametrize(
    ("pooling", "ability"), [(-1, "text"), (0, "text"), (1, "embeddings"), (3, "embeddings")]
)
def test_pooling_makes_an_embedding_model(pooling: int, ability: str) -> None:
    facts = replace(EIGHT_LAYERS, pooling=pooling)
    (variant, *_) = table(replace(ENTRY, facts=facts))["variants"]
    assert ability in deduced(Arguments(variant["args"], {}), Known()).certain


def test_pooling_by_rank_makes_a_reranker_and_an_encoder_reads_in_one_batch() -> None:
    facts = replace(EIGHT_LAYERS, pooling=4, causal=False, context_length=512)
    (variant,) = table(replace(ENTRY, facts=facts))["variants"]
    assert deduced(Arguments(variant["args"], {}), Known()).certain == {"rerank"}
    assert variant["args"][-4:] == ["-b", "512", "-ub", "512"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"gpu_layers": -1}, ["-ngl", "999"]),
        ({"gpu_layers": 20}, ["-ngl", "20"]),
        ({"gpu_layers": "auto"}, []),
        ({"threads": 4}, ["-t", "4"]),
        ({"batch_size": 1024, "ubatch_size": 256}, ["-b", "1024", "-ub", "256"]),
        ({"cache_type": "q8_0"}, ["-ctk", "q8_0", "-ctv", "q8_0"]),
        ({"flash_attention": True}, ["-fa", "on"]),
        ({"flash_attention": False}, ["-fa", "off"]),
        ({"mlock": True}, ["--mlock"]),
        ({"cpu_moe_layers": 12}, ["--n-cpu-moe", "12"]),
    ],
)
def test_each_option_becomes_arguments(options: dict[str, Any], expected: list[str]) -> None:
    plain = words(context_size=8192)
    assert plain == ["-m", "/m/a.gguf", "-c", "8192", "-np", "1"]
    assert words(context_size=8192, **options) == [*plain[:2], *expected, *plain[2:]]


def test_chosen_contexts_are_the_variants() -> None:
    variants = table(contexts=(40960, 2048))["variants"]
    assert [each["context"] for each in variants] == [2048, 40960]
    assert [each["context"] for each in table(context_size=512)["variants"]] == [512]


def test_extra_arguments_come_last_and_count() -> None:
    (variant,) = table(context_size=4096, extra_args=("-np", "4", "--no-warmup"))["variants"]
    assert variant["args"][-5:] == ["-c", "16384", "-np", "4", "--no-warmup"]
    assert variant["parallel"] == 4
    assert Arguments(variant["args"], {}).slot_context() == 4096


def test_an_own_command_gets_the_model_and_keeps_its_context() -> None:
    own = ("/opt/llama-server", "--ctx-size", "4096", "--n-gpu-layers", "99")
    (variant,) = table(command=own)["variants"]
    assert variant["binary"] == "/opt/llama-server"
    assert variant["context"] == 4096
    assert variant["args"] == [*own[1:], "-m", "/m/a.gguf", "-np", "1"]
    # Without one, contexts are planned.
    assert len(table(command=("/opt/llama-server",))["variants"]) == 2


def test_a_draft_model_and_an_own_binary() -> None:
    found = Planner(machine(12), SERVER).table(
        ENTRY, LaunchOptions(binary="/opt/s", context_size=512), "/m/draft.gguf", 1
    )
    assert isinstance(found, dict)
    assert found["variants"][0]["binary"] == "/opt/s"
    assert Arguments(found["variants"][0]["args"], {}).files() == ["/m/a.gguf", "/m/draft.gguf"]


def test_what_an_engine_will_take_is_estimated_by_resource() -> None:
    (variant,) = table(gpus=(24,))["variants"]
    assert variant["estimated"].keys() == {"ram", "gpu0"}
    assert variant["estimated"]["gpu0"] > 2 * GIB
    (variant,) = table(gpus=(9, 17), ram=64, context_size=65536)["variants"]
    one, two = (variant["estimated"][name] for name in ("gpu0", "gpu1"))
    assert two == pytest.approx(2 * one, rel=0.01)
    assert table()["variants"][0]["estimated"].keys() == {"ram"}
    # Layers elsewhere than planned: it is not known.
    assert table(gpus=(24,), gpu_layers=3)["variants"][0]["estimated"] == {}
    assert table(gpus=(24,), gpu_layers=0)["variants"][0]["estimated"].keys() == {"ram"}


@pytest.mark.parametrize(
    ("gpu", "experts", "expected"),
    [
        (24, 0, ["-ngl", "999"]),
        (2.5, 0, ["-ngl", "5"]),
        (3, GIB // 8, ["-ngl", "999", "--n-cpu-moe", "5"]),
        (0, 0, []),
    ],
)
def test_an_engine_that_does_not_fit_itself_is_told_where_layers_go(
    gpu: float, experts: int, expected: list[str]
) -> None:
    planner = Planner(machine(64, *([gpu] if gpu else [])), SERVER, fits=False)
    entry = replace(ENTRY, facts=replace(EIGHT_LAYERS, experts_by_layer=(experts,) * 8))
    variants = made({"context_size": 8192}, planner, entry)["variants"]
    assert variants[0]["args"][6:] == expected
    own = made({"context_size": 8192, "gpu_layers": 5}, planner, entry)["variants"]
    assert own[0]["args"].count("-ngl") == 1


def test_a_cache_that_the_heads_do_not_fit_is_no_plan() -> None:
    facts = replace(EIGHT_LAYERS, key_length=48, value_length=48)
    planner = Planner(machine(12), SERVER)
    found = planner.table(replace(ENTRY, facts=facts), LaunchOptions(cache_type="q8_0"))
    assert found == "the cache type q8_0 needs heads of 32 numbers, not of 48"
