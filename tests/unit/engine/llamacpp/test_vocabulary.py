"""engine/llamacpp/vocabulary.py: a tiny model with the vocabulary of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gguf_files import sparse

from engine.llamacpp.vocabulary import write_vocabulary
from models.gguf import BadModelFile, head_of

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {
    "general.architecture": "mixtral",
    "general.name": "Phi-3 mini",
    "mixtral.block_count": 80,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b", "ab", ""],
    "tokenizer.chat_template": "{{ messages }}",
}
WEIGHTS = {"token_embd.weight": ((4096, 4), 0), "output.weight": ((4096, 4), 0)}


def test_the_tokenizer_is_kept_and_the_weights_are_not(tmp_path: Path) -> None:
    model = sparse(tmp_path / "model.gguf", KEYS, WEIGHTS)
    tiny = tmp_path / "vocabulary.gguf"
    with tiny.open("wb") as file:
        write_vocabulary(model, file)
    head = head_of(tiny)
    kept = {name for name in KEYS if name.startswith("tokenizer.")} | {"general.name"}
    assert {name: head.keys[name] for name in kept} == {name: KEYS[name] for name in kept}
    assert head.keys["general.architecture"] == "llama"
    assert "mixtral.block_count" not in head.keys
    assert next(t for t in head.tensors if t.name == "token_embd.weight").shape == (32, 4)
    assert head.missing == 0
    assert tiny.stat().st_size < 100_000


def test_a_long_vocabulary_is_kept_whole(tmp_path: Path) -> None:
    keys = {**KEYS, "tokenizer.ggml.tokens": [f"t{number}" for number in range(5000)]}
    model = sparse(tmp_path / "model.gguf", keys, WEIGHTS)
    with (tmp_path / "tiny.gguf").open("wb") as file:
        write_vocabulary(model, file)
    content = (tmp_path / "tiny.gguf").read_bytes()
    assert all(f"t{number}".encode() in content for number in (0, 2500, 4999))
    assert head_of(tmp_path / "tiny.gguf").tensors[0].shape == (32, 5000)


def test_a_projector_has_no_vocabulary(tmp_path: Path) -> None:
    model = sparse(tmp_path / "model.gguf", {"general.architecture": "clip"}, WEIGHTS)
    with (tmp_path / "tiny.gguf").open("wb") as file, pytest.raises(BadModelFile, match="vocab"):
        write_vocabulary(model, file)
