"""models/estimate.py: the memory of engines, as llama-server b11434 logged it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_engines import MODEL
from tiny_models import HYBRID, LONG_ROPE, PLAIN, RECURRENT, SLIDING, write

from models.estimate import CACHE_TYPES, Setup, estimate, sliding_layers, window_of
from models.gguf import head_of
from models.model_file import FileFacts, facts_of

MIB = 1 << 20
Q8 = Setup(8192, keys="q8_0", values="q8_0")
LARGE = FileFacts(
    0,
    layers=48,
    width=2048,
    feed_forward=6144,
    vocabulary=151_936,
    heads=(32,),
    kv_heads=(4,),
    key_length=128,
    value_length=128,
    attention=tuple(range(48)),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileFacts]:
    folder = tmp_path_factory.mktemp("models")
    found = {
        tiny.architecture: facts_of(head_of(write(tiny, folder / f"{tiny.architecture}.gguf")))
        for tiny in (PLAIN, SLIDING, HYBRID, RECURRENT, LONG_ROPE)
    }
    return {"smollm2": facts_of(head_of(MODEL))} | found


# Weights, cache, and buffers to compute with and for output, in MiB.
@pytest.mark.parametrize(
    ("model", "setup", "logged"),
    [
        ("smollm2", Setup(512), (92.10, 11.25, 15.33)),
        ("smollm2", Setup(1000), (92.10, 22.50, 15.83)),
        ("smollm2", Setup(2048), (92.10, 45.00, 16.83)),
        ("smollm2", Setup(8192), (92.10, 180.00, 22.83)),
        ("smollm2", Setup(32768), (92.10, 720.00, 46.83)),
        ("smollm2", Setup(8192, batch=128), (92.10, 180.00, 5.85)),
        ("smollm2", Setup(8192, batch=1024), (92.10, 180.00, 45.48)),
        ("smollm2", Q8, (92.10, 95.62, 22.86)),
        ("smollm2", Setup(8192, keys="q4_0", values="q8_0"), (92.10, 73.12, 22.86)),
        ("smollm2", Setup(8192, slots=4), (92.10, 180.00, 17.39)),
        ("smollm2", Setup(8192, flash_attention=False), (92.10, 180.00, 167.70)),
        ("llama", Setup(8192), (1.36, 4.50, 9.07)),
        ("phi3", Setup(8192), (1.36, 4.50, 9.07)),
        ("gemma3", Setup(2048), (1.45, 1.03, 3.83)),
        ("gemma3", Setup(8192), (1.45, 3.28, 9.83)),
        ("gemma3", Setup(8192, slots=4), (1.45, 4.12, 3.90)),
        ("gemma3", Setup(8192, flash_attention=False), (1.45, 3.28, 66.48)),
        ("lfm2", Setup(8192), (1.45, 3.00, 9.07)),
        ("mamba", Setup(2048), (1.33, 0.02, 1.44)),
        ("mamba", Setup(32768), (1.33, 0.02, 1.44)),
        ("mamba", Setup(8192, slots=4), (1.33, 0.08, 1.53)),
    ],
)
def test_the_estimate_is_what_the_engine_takes(
    models: dict[str, FileFacts], model: str, setup: Setup, logged: tuple[float, float, float]
) -> None:
    told = estimate(models[model], setup)
    parts = [each / MIB for each in (told.weights, told.context, told.compute)]
    assert parts[:2] == pytest.approx(logged[:2], abs=0.02)
    assert parts[2] == pytest.approx(logged[2], rel=0.05)
    assert sum(parts) == pytest.approx(sum(logged), rel=0.01)


# A vocabulary of 6000 tokens; every model has four layers. Logged for 2048 tokens.
@pytest.mark.parametrize(
    ("width", "inside", "used", "logged"),
    [
        (64, 128, 2, 4.16),
        (64, 256, 8, 14.66),
        (128, 64, 4, 4.79),
        (256, 64, 8, 11.54),
        (256, 96, 8, 13.04),
    ],
)
def test_experts_compute_side_by_side(width: int, inside: int, used: int, logged: float) -> None:
    facts = FileFacts(
        0,
        layers=4,
        width=width,
        feed_forward=inside,
        vocabulary=6000,
        heads=(4,),
        kv_heads=(4,),
        experts_used=used,
        attention=(0, 1, 2, 3),
    )
    for each in (facts, replace(facts, feed_forward=0, expert_width=inside)):
        assert estimate(each, Setup(2048)).compute / MIB == pytest.approx(logged, rel=0.01)


def test_the_cache_of_a_mixture_of_experts() -> None:
    # 48 layers, 4 heads of 128 numbers, keys and values.
    assert estimate(LARGE, Setup(32768)).context == 48 * 32768 * 4 * 128 * 2 * 2


def test_compressed_keys_hold_the_values_too() -> None:
    facts = replace(LARGE, kv_heads=(1,), key_length=576, value_length=512, compressed_keys=True)
    assert estimate(facts, Setup(4096)).context == 48 * 4096 * 576 * 2


@pytest.mark.parametrize(
    ("changed", "layers"),
    [
        ({"shared_layers": 20}, 28),
        ({"draft_layers": 1}, 47),
        ({"architecture": "gemma3n"}, 20),
        ({"causal": False}, 0),
        ({"kv_heads": (0, 4) * 24}, 24),
    ],
)
def test_some_layers_keep_no_keys(changed: dict[str, object], layers: int) -> None:
    facts = replace(LARGE, **changed)  # type: ignore[arg-type] # fields by name
    each = 4096 * 4 * 128 * 2 * 2
    assert estimate(facts, Setup(4096)).context == layers * each


@pytest.mark.parametrize(
    ("facts", "full", "window"),
    [
        (FileFacts(0, architecture="gemma3", layers=6, window=1024), [5], 1024),
        (FileFacts(0, architecture="gemma2", layers=4), [1, 3], 4096),
        (FileFacts(0, architecture="gpt-oss", layers=4, window=128), [1, 3], 128),
        (FileFacts(0, architecture="cohere2moe", layers=5, window=9), [0, 4], 9),
        (FileFacts(0, architecture="gemma3", layers=4, window=9, window_period=2), [1, 3], 9),
        (FileFacts(0, architecture="gemma3", layers=3, window=9, window_layers=(True,)), [1, 2], 9),
        (FileFacts(0, architecture="gemma3", layers=3), [0, 1, 2], 0),
        (FileFacts(0, architecture="phi3", layers=2, window=2047), [0, 1], 2047),
        (FileFacts(0, architecture="qwen2", layers=2, window=32768), [0, 1], 32768),
    ],
)
def test_layers_with_a_window(facts: FileFacts, full: list[int], window: int) -> None:
    sliding = sliding_layers(facts)
    assert [layer for layer, has in enumerate(sliding) if not has] == full
    assert window_of(facts) == window


def test_unified_slots_share_the_context_and_each_has_a_window() -> None:
    facts = replace(
        LARGE, architecture="gemma3", window=1024, layers=6, attention=(0, 1, 2, 3, 4, 5)
    )
    alone, shared = Setup(32768, slots=4), Setup(32768, slots=4, unified=True)
    row = 4 * 128 * 2 * 2
    assert estimate(facts, alone).context == row * (32768 + 5 * 4 * 1536)
    assert estimate(facts, shared).context == row * (32768 + 5 * (4 * 1024 + 512))


@pytest.mark.parametrize(
    ("kind", "output", "times"), [("Q4_K", False, 2), ("Q6_K", False, 1), ("Q4_K", True, 1)]
)
def test_weights_in_two_orders_count_twice(kind: str, output: bool, times: int) -> None:
    facts = replace(LARGE, outside=500, embedding=500, embedding_type=kind, output=output)
    assert estimate(facts, Setup(512)).weights == times * 500


def test_a_cache_that_the_model_cannot_have_is_refused(models: dict[str, FileFacts]) -> None:
    with pytest.raises(ValueError, match="needs heads of 32 numbers, not of 16"):
        estimate(models["llama"], Q8)
    with pytest.raises(ValueError, match="q3_0 is not known"):
        estimate(models["smollm2"], Setup(512, keys="q3_0"))
    # It has no heads, so any type does.
    assert estimate(models["mamba"], Q8).total


@given(
    st.builds(
        FileFacts,
        size=st.just(0),
        architecture=st.sampled_from(["llama", "gemma3", "phi3"]),
        layers=st.integers(0, 12),
        width=st.integers(0, 1 << 14),
        heads=st.lists(st.integers(0, 64), max_size=4).map(tuple),
        kv_heads=st.lists(st.integers(0, 64), max_size=4).map(tuple),
        window=st.integers(0, 4096),
        window_period=st.integers(0, 8),
        draft_layers=st.integers(0, 20),
        shared_layers=st.integers(0, 20),
        attention=st.lists(st.integers(0, 20), max_size=9).map(tuple),
        recurrent=st.lists(st.integers(0, 20), max_size=9).map(tuple),
        state_numbers=st.integers(0, 1 << 20),
    ),
    st.integers(1, 1 << 20),
    st.integers(1, 8),
)
def test_more_context_never_takes_less(facts: FileFacts, context: int, slots: int) -> None:
    small, large = (
        estimate(facts, Setup(c, slots, keys="f32", values="bf16")) for c in (context, 2 * context)
    )
    assert 0 <= small.context <= large.context
    assert small.total <= large.total


def test_every_type_of_a_cache_has_a_size() -> None:
    sizes = {
        kind: estimate(LARGE, Setup(256, keys=kind, values=kind)).context for kind in CACHE_TYPES
    }
    assert sizes["f32"] == 2 * sizes["f16"] == 2 * sizes["bf16"]
    assert sizes["q4_0"] < sizes["q5_0"] < sizes["q8_0"] < sizes["f16"]
