"""models/discovery/file_name.py: what a name tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.discovery.file_name import file_name


@pytest.mark.parametrize(
    ("name", "quantisation", "base"),
    [
        ("Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Q4_K_M", "llama-3.1-8b-instruct"),
        ("Qwen3-8B-UD-Q8_K_XL.gguf", "UD-Q8_K_XL", "qwen3-8b"),
        ("qwen3-8b-q4_k_m.gguf", "Q4_K_M", "qwen3-8b"),
        ("model.IQ4_XS.gguf", "IQ4_XS", ""),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4", "gpt-oss-20b"),
        ("tiny-f16.gguf", "F16", "tiny"),
        ("tiny-BF16.gguf", "BF16", "tiny"),
        ("bitnet-TQ2_0.gguf", "TQ2_0", "bitnet"),
        # A size is no quantisation.
        ("Meta-Llama-3.1-8B.gguf", "", "meta-llama-3.1-8b"),
        ("my_model.gguf", "", "my"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1", "smollm2-135m-instruct"),
        # The last one counts.
        ("merge-of-Q8_0-x-Q4_0.gguf", "Q4_0", "merge-of-q8-0-x"),
    ],
)
def test_the_quantisation_and_the_base(name: str, quantisation: str, base: str) -> None:
    told = file_name(name)
    assert (told.quantisation, told.base, told.shards) == (quantisation, base, 1)


def test_a_folder_may_name_the_quantisation() -> None:
    assert file_name("part.gguf", "sub/Q4_K_M").quantisation == "Q4_K_M"
    assert file_name("m-Q8_0.gguf", "Q4_K_M").quantisation == "Q8_0"


def test_a_shard_tells_its_number_and_its_first() -> None:
    told = file_name("big-Q4_0-00002-of-00003.gguf")
    assert (told.stem, told.shard, told.shards) == ("big-Q4_0", 2, 3)
    assert told.first == "big-Q4_0-00001-of-00003.gguf"
    assert file_name("plain.gguf").first == "plain.gguf"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mmproj-model-f16.gguf", "projector"),
        ("gemma-3-4b-it-MMPROJ-BF16.gguf", "projector"),
        ("qwen.imatrix.gguf", "other"),
        ("mtp-head.gguf", "draft"),
        ("eagle3-llama.gguf", "draft"),
        ("dflash-x.gguf", "draft"),
        ("vision-model.gguf", "model"),
    ],
)
def test_some_names_tell_that_it_is_no_model(name: str, kind: str) -> None:
    assert file_name(name).kind == kind


@pytest.mark.parametrize(
    "name", ["mmproj-Qwen2.5-VL-7B-f16.gguf", "Qwen2.5-VL-7B-mmproj.gguf", "Qwen2.5-VL-7B.gguf"]
)
def test_a_projector_has_the_base_of_its_model(name: str) -> None:
    assert file_name(name).base == "qwen2.5-vl-7b"


def test_a_projector_may_have_no_base() -> None:
    assert file_name("mmproj-model-f16.gguf").base == file_name("mmproj.gguf").base == ""


@given(st.text(min_size=1), st.text())
def test_any_name_is_taken_apart(name: str, folder: str) -> None:
    told = file_name(name, folder)
    assert told.name == name
    assert 1 <= len(told.stem) <= len(name) or name.lower() == ".gguf"
