"""engine/llamacpp/found.py: the table of a model that was found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.llamacpp.arguments import Arguments
from engine.llamacpp.capabilities import Known, deduced
from engine.llamacpp.found import found_table
from models.catalog import Catalog
from models.discovery.inventory import Entry
from models.model_file import FileFacts
from models.planning import GIB, MachineMemory, plan
from utils.config.settings import ServerSettings

FACTS = FileFacts(
    0,
    layers=8,
    width=2048,
    heads=(16,),
    kv_heads=(16,),
    context_length=65536,
    attention=tuple(range(8)),
    bytes_by_layer=(GIB // 4,) * 8,
)
ENTRY = Entry("org/a:Q4_0", "/m/a.gguf", ("/m/a.gguf",), 100, ("a",), facts=FACTS)


def table(entry: Entry = ENTRY, ram: float = 12) -> dict[str, Any]:
    facts = entry.facts or FileFacts(0)
    return found_table(entry, plan(facts, MachineMemory(int(ram * GIB))), "/bin/llama-server")


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
    facts = replace(FACTS, pooling=pooling)
    (variant, *_) = table(replace(ENTRY, facts=facts))["variants"]
    assert ability in deduced(Arguments(variant["args"], {}), Known()).certain


def test_pooling_by_rank_makes_a_reranker_and_an_encoder_reads_in_one_batch() -> None:
    facts = replace(FACTS, pooling=4, causal=False, context_length=512)
    (variant,) = table(replace(ENTRY, facts=facts))["variants"]
    assert deduced(Arguments(variant["args"], {}), Known()).certain == {"rerank"}
    assert variant["args"][-4:] == ["-b", "512", "-ub", "512"]
