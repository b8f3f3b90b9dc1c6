"""models/planning.py: which variants a model gets on a machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.model_file import FileFacts
from models.planning import GIB, MOST, MachineMemory, Plan, Wishes, plan


def model(
    layers: int, width: int, wide: int, kv_heads: int, context: int, weights: float, **more: object
) -> FileFacts:
    size = int(weights * GIB)
    tokens = 128_256 * width * 9 // 16
    facts = FileFacts(
        size,
        layers=layers,
        width=width,
        feed_forward=wide,
        vocabulary=128_256,
        heads=(32,),
        kv_heads=(kv_heads,),
        key_length=128,
        value_length=128,
        context_length=context,
        attention=tuple(range(layers)),
        bytes_by_layer=((size - 2 * tokens) // layers,) * layers,
        outside=2 * tokens,
        embedding=tokens,
        output=True,
    )
    return replace(facts, **more)  # type: ignore[arg-type] # fields by name


# As Llama 3.1 8B, Qwen3 30B-A3B and Llama 3 70B in Q4_K_M.
SMALL = model(32, 4096, 14336, 8, 131072, 4.58)
EXPERTS = model(48, 2048, 6144, 4, 262144, 17.3, experts_used=8, expert_width=768)
EXPERTS = replace(EXPERTS, experts_by_layer=(int(EXPERTS.bytes_by_layer[0] * 0.93),) * 48)
BIG = model(80, 8192, 28672, 8, 131072, 39.6)


def machine(gpu: float, ram: float) -> MachineMemory:
    return MachineMemory(int(ram * GIB), (int(gpu * GIB),) if gpu else ())


def contexts(made: Plan) -> list[int]:
    return [each.context for each in made.variants]


@pytest.mark.parametrize(
    ("facts", "gpu", "ram", "expected"),
    [
        # All of it fits the GPU at its full context: one variant.
        (SMALL, 24, 64, [131072]),
        (EXPERTS, 24, 64, [32768, 131072, 262144]),
        (BIG, 24, 64, [8192, 32768]),
        (SMALL, 8, 32, [8192, 32768, 131072]),
        (EXPERTS, 8, 32, [8192, 32768, 131072]),
        (BIG, 8, 32, []),
        (SMALL, 0, 24, [8192, 32768]),
        (EXPERTS, 0, 24, [8192]),
        (BIG, 0, 24, []),
        (BIG, 80, 64, [131072]),
        # Too little to hold even the buffers: as if there were no GPU.
        (SMALL, 1, 64, [8192, 131072]),
    ],
)
def test_the_variants_of_a_model(
    facts: FileFacts, gpu: float, ram: float, expected: list[int]
) -> None:
    made = plan(facts, machine(gpu, ram))
    assert contexts(made) == expected
    assert made.fits is bool(expected)


def test_a_plan_tells_where_layers_go_and_why() -> None:
    one, two, three = plan(EXPERTS, machine(24, 64)).variants
    assert (one.layers_in_ram, one.why) == (0, "fits the GPU")
    assert (two.layers_in_ram, two.why) == (20, "28 more layers on the GPU")
    assert (three.layers_in_ram, three.why) == (48, "the largest context that fits")
    for each in (one, two, three):
        assert each.gpu <= 23 * GIB
        assert each.gpu + each.ram == each.memory.total


def test_a_context_that_does_not_fit_is_told() -> None:
    made = plan(BIG, machine(24, 64))
    assert [(each.context, each.why) for each in made.left_out] == [
        (131072, "does not fit GPU and main memory")
    ]
    left_out = plan(BIG, machine(0, 24)).left_out
    assert [each.context for each in left_out] == [8192, 32768, 131072]
    assert {each.why for each in left_out} == {"does not fit the memory"}


def test_two_gpus_hold_more_than_one() -> None:
    memory = MachineMemory(64 * GIB, (24 * GIB, 24 * GIB))
    assert contexts(plan(EXPERTS, memory)) == [262144]


def test_unified_memory_counts_once() -> None:
    assert contexts(plan(SMALL, MachineMemory(16 * GIB, (12 * GIB,), unified=True))) == [32768]
    made = plan(BIG, MachineMemory(16 * GIB, (12 * GIB,), unified=True))
    assert (made.fits, made.left_out[0].why) == (False, "does not fit the memory")


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K"])
def test_a_shared_embedding_is_in_main_memory_and_on_the_gpu(kind: str) -> None:
    facts = replace(SMALL, output=False, embedding_type=kind)
    (only,) = plan(facts, machine(24, 64)).variants
    assert only.ram == facts.embedding
    assert only.gpu == facts.weights + only.memory.context + only.memory.compute


def test_a_projector_takes_room_too() -> None:
    small = machine(0, 24)
    assert contexts(plan(SMALL, small, Wishes(beside=4 * GIB))) == [8192]


def test_a_smaller_cache_allows_more_context() -> None:
    assert contexts(plan(SMALL, machine(8, 32), Wishes(cache_type="q4_0")))[-1] == 131072
    assert contexts(plan(SMALL, machine(0, 24), Wishes(cache_type="q4_0"))) == [8192, 131072]
    with pytest.raises(ValueError, match="q4_0 needs heads"):
        plan(replace(SMALL, key_length=16), machine(0, 24), Wishes(cache_type="q4_0"))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"context_length": 2048}, [2048]),
        ({"context_length": 0}, [4096]),
        ({"context_length": 8192}, [8192]),
        # An embedding model, and one whose context costs nothing.
        ({"context_length": 32768, "pooling": 1}, [32768]),
        ({"context_length": 32768, "causal": False}, [32768]),
        ({"context_length": 1 << 20, "attention": ()}, [1 << 20]),
    ],
)
def test_some_models_have_one_context(changed: dict[str, object], expected: list[int]) -> None:
    facts = replace(SMALL, **changed)  # type: ignore[arg-type] # fields by name
    assert contexts(plan(facts, machine(24, 64))) == expected


@given(
    st.sampled_from([SMALL, EXPERTS, BIG]),
    st.floats(0, 96),
    st.floats(1, 256),
    st.booleans(),
)
def test_every_plan_keeps_to_the_memory(
    facts: FileFacts, gpu: float, ram: float, unified: bool
) -> None:
    memory = replace(machine(gpu, ram), unified=unified and gpu > 0)
    made = plan(facts, memory)
    assert len(made.variants) <= MOST
    assert contexts(made) == sorted({*contexts(made)})
    for each in made.variants:
        assert each.why
        assert each.gpu <= max(0, memory.on_gpus)
        assert each.ram <= ram * GIB * 0.8
    # What is left out is larger than what is kept.
    assert all(out.context > kept for out in made.left_out for kept in contexts(made))
