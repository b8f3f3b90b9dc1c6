"""compatibility.py: whose states would answer otherwise than the prompt itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from gguf_files import gguf
from tiny_models import LONG_ROPE, ORIGINAL_CONTEXT, RECURRENT, write

from engine.llamacpp.arguments import Arguments
from engine.llamacpp.prompt_cache.compatibility import incomplete, rope_factors

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        (("llama-server", "--swa-full"), {}),
        (("llama-server", "--swa_full", "-c", "512"), {}),
        (("llama-server",), {"LLAMA_ARG_SWA_FULL": "1"}),
        (("llama-server",), {"LLAMA_ARG_SWA_FULL": "on"}),
    ],
)
def test_full_caches_of_sliding_windows_are_not_saved_in_full(
    argv: tuple[str, ...], env: dict[str, str]
) -> None:
    assert incomplete(Arguments(argv, env))


@pytest.mark.parametrize("value", ["0", "off", "False", ""])
def test_others_are(value: str) -> None:
    assert not incomplete(Arguments(("-c", "512"), {"LLAMA_ARG_SWA_FULL": value}))
    assert not incomplete(Arguments(("-c", "512"), {}))


def test_the_context_decides_the_factors_of_a_model_that_has_two_sets(tmp_path: Path) -> None:
    model = str(write(LONG_ROPE, tmp_path / "long.gguf"))
    assert rope_factors(model, ORIGINAL_CONTEXT) == "short"
    assert rope_factors(model, ORIGINAL_CONTEXT + 1) == "long"


def test_other_models_have_none(tmp_path: Path) -> None:
    assert rope_factors(str(write(RECURRENT, tmp_path / "model.gguf")), 1 << 20) == ""
    assert rope_factors(str(tmp_path / "absent.gguf"), 4096) == ""
    assert rope_factors("", 4096) == rope_factors("\0", 4096) == ""


FACTORS = {"rope_factors_long.weight": ((4,), 0)}


def told(**numbers: int) -> dict[str, object]:
    return {"general.architecture": "phi3"} | {f"phi3.{k}": v for k, v in numbers.items()}


def test_without_an_original_context_it_is_that_of_the_training(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(gguf(told(context_length=4096), FACTORS))
    assert (rope_factors(str(model), 4096), rope_factors(str(model), 8192)) == ("short", "long")
    # Another file in its place is looked at anew.
    model.write_bytes(gguf(told(context_length=4096)))
    os.utime(model, ns=(1, 1))
    assert rope_factors(str(model), 8192) == ""


def test_the_factors_may_lie_in_another_shard_than_what_is_told_of_them(tmp_path: Path) -> None:
    first, second = (tmp_path / f"model-0000{n}-of-00002.gguf" for n in (1, 2))
    shards = {"split.count": 2}
    first.write_bytes(gguf(told(context_length=4096) | shards | {"split.no": 0}))
    second.write_bytes(gguf(shards | {"split.no": 1}, FACTORS))
    assert rope_factors(str(first), 8192) == "long"
    second.unlink()
    os.utime(first, ns=(1, 1))
    assert rope_factors(str(first), 8192) == ""


@pytest.mark.parametrize("content", [gguf(told(), FACTORS), b"no model", b"GGUF"])
def test_a_file_that_does_not_say_it_has_none(tmp_path: Path, content: bytes) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(content)
    assert rope_factors(str(model), 8192) == ""
