"""The estimate of an engine's memory, against what real engines allocate."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path

import pytest
from large_models import GEMMA3_4B, LLAMA_8B, LLAMA_70B, QWEN3_8B, QWEN3_30B, write_large
from ports import quiet_port
from real_engines import ENGINES, MODEL, ONE
from tiny_models import (
    EMBEDDING,
    HYBRID,
    LONG_ROPE,
    PLAIN,
    RECURRENT,
    SLIDING,
    Tensor,
    Tiny,
    write,
)

from engine.llamacpp.log import Projection
from models.estimate import Setup, estimate
from models.gguf import head_of
from models.model_file import facts_of

# Heads of 32 numbers: a quantised cache needs them.
_WIDE = {
    "attn_q.weight": Tensor((EMBEDDING, 96)),
    "attn_k.weight": Tensor((EMBEDDING, 96)),
    "attn_v.weight": Tensor((EMBEDDING, 96)),
    "attn_output.weight": Tensor((96, EMBEDDING)),
}
_NORMS = {
    name: Tensor((32,), 1.0, noisy=False) for name in ("attn_q_norm.weight", "attn_k_norm.weight")
}


def wide(tiny: Tiny) -> Tiny:
    layers = tuple(
        layer | _WIDE | {name: norm for name, norm in _NORMS.items() if name in layer}
        if "attn_k.weight" in layer
        else layer
        for layer in tiny.layers
    )
    lengths = {"attention.key_length": 32, "attention.value_length": 32}
    return Tiny(tiny.architecture, layers, tiny.says | lengths, tiny.more, tiny.last_norm)


def allocated(engine: str, model: Path | str, setup: Setup) -> int:
    """Start an engine, and return the bytes of the buffers that it allocates."""
    argv = [engine, "-m", str(model), "-c", setup.context, "-np", setup.slots, "-ub", setup.batch]
    argv += ["-ctk", setup.keys, "-ctv", setup.values, "-lv", 4, "--no-warmup"]
    argv += ["--kv-unified" if setup.unified else "--no-kv-unified", "--port", quiet_port()]
    argv += [] if setup.flash_attention else ["-fa", "off"]
    projection = Projection()
    process = subprocess.Popen(
        list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    limit = threading.Timer(60, process.kill)
    limit.start()
    read = []
    try:
        for line in process.stdout:
            read.append(line)
            projection.read(line)
            # The last buffer has been allocated.
            if "compute buffer size" in line:
                break
    finally:
        limit.cancel()
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert "compute buffer size" in read[-1], "".join(read)
    return projection.amounts()["ram"]


MODELS = {
    "smollm2": None,
    "plain": PLAIN,
    "long": LONG_ROPE,
    "sliding": SLIDING,
    "hybrid": HYBRID,
    "recurrent": RECURRENT,
    "wide sliding": wide(SLIDING),
}
SETUPS = [
    Setup(2048),
    Setup(8192),
    Setup(8192, batch=128),
    Setup(8192, slots=4),
    Setup(8192, slots=4, unified=True),
]
Q8 = Setup(8192, keys="q8_0", values="q8_0")
Q4 = Setup(4096, keys="q4_0", values="q4_0")
CASES = [(name, setup) for name in MODELS for setup in SETUPS]
QUANTISED = [(name, setup) for name in ("smollm2", "wide sliding") for setup in (Q8, Q4)]


def projected(engine: str, model: Path, setup: Setup) -> float:
    """Start an engine, and return the MiB that it says it would take; end it before it loads."""
    argv = [engine, "-m", str(model), "-c", str(setup.context), "-np", "1", "-lv", "4"]
    argv += ["-ctk", setup.keys, "-ctv", setup.values, "--port", str(quiet_port())]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    limit = threading.Timer(60, process.kill)
    limit.start()
    read, total = [], 0
    try:
        for line in process.stdout:
            read.append(line)
            # Weights in another order are in a row of their own.
            if (row := re.search(r"\|   - (?:Host|CPU_REPACK) +\| +(\d+) =", line)) is not None:
                total += int(row[1])
            if "projected to use" in line:
                break
    finally:
        limit.cancel()
        process.kill()
        process.wait(10)
        process.stdout.close()
    assert total, "".join(read)
    return total


LARGE = {
    "Llama 3.1 8B": LLAMA_8B,
    "Llama 3 70B": LLAMA_70B,
    "Qwen3 8B": QWEN3_8B,
    "Qwen3 30B-A3B": QWEN3_30B,
    "Gemma 3 4B": GEMMA3_4B,
}


# The bundled engine tells no rows, so what it holds in another order is not known.
@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "bundled"])
@pytest.mark.parametrize("name", LARGE)
def test_large_models_are_estimated_as_the_engine_projects_them(
    engine: str, name: str, tmp_path: Path
) -> None:
    model = write_large(LARGE[name], tmp_path / "model.gguf")
    facts = facts_of(head_of(model))
    for context in (8192, 131072):
        for kind in ("f16", "q8_0"):
            setup = Setup(context, keys=kind, values=kind)
            told = estimate(facts, setup).total / (1 << 20)
            assert told == pytest.approx(projected(ENGINES[engine], model, setup), rel=0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each model is written once."""
    return tmp_path_factory.mktemp("models")


def check(engine: str, name: str, setup: Setup, folder: Path) -> None:
    tiny = MODELS[name]
    model = Path(MODEL) if tiny is None else folder / f"{name}.gguf"
    if tiny is not None and not model.exists():
        write(tiny, model)
    told = estimate(facts_of(head_of(model)), setup).total
    assert told == pytest.approx(allocated(ENGINES[engine], model, setup), rel=0.05)


@pytest.mark.parametrize("engine", ONE)
@pytest.mark.parametrize(("name", "setup"), CASES + QUANTISED)
def test_the_estimate_is_within_five_percent(
    engine: str, name: str, setup: Setup, folder: Path
) -> None:
    check(engine, name, setup, folder)


@pytest.mark.parametrize(("name", "setup"), [("smollm2", Setup(8192)), ("sliding", Setup(8192))])
def test_the_bundled_engine_agrees(name: str, setup: Setup, folder: Path) -> None:
    check("bundled", name, setup, folder)
