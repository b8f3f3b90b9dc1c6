"""Make a tiny model with the vocabulary and the chat template of another one.

llama.cpp counts the tokens of a prompt only with a model that it has loaded. This one has the
tokenizer's part of the other model's head, and one layer of zeros, so it loads in a moment and
takes as little memory for a large model as for a small one.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from models.gguf import BadModelFile, Skipped, head_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from models.gguf import Head

_TOKENIZER = "tokenizer."
_TOKENS = "tokenizer.ggml.tokens"
# llama.cpp tells some vocabularies apart by the model's name.
_NAME = "general.name"
_WIDTH = 32
_ALIGNMENT = 32
_U32, _F32, _STRING = 4, 6, 8
# The types of tensors, with the bytes of one row of ``_WIDTH`` numbers.
_FLOAT, _QUARTER = (0, 4 * _WIDTH), (2, 18)
_ONE_LAYER = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
_NORMS = ("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight")
_NUMBERS: Mapping[str, int | float | str] = {
    "general.architecture": "llama",
    "llama.context_length": 256,
    "llama.embedding_length": _WIDTH,
    "llama.feed_forward_length": _WIDTH,
    "llama.block_count": 1,
    "llama.attention.head_count": 1,
    "llama.rope.dimension_count": _WIDTH,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def write_vocabulary(model: str | os.PathLike[str], to: BinaryIO) -> None:
    """Write the tiny model for the file ``model``.

    Raises BadModelFile if that has no vocabulary, OSError if it cannot be read.
    """
    head = head_of(model)
    rows = _tokens(head)
    kept = [place for name, place in head.places.items() if _is_kept(name)]
    tensors = [
        ("token_embd.weight", rows, _QUARTER),
        *((name, 1, _FLOAT) for name in _NORMS),
        *((f"blk.0.{name}.weight", _WIDTH, _FLOAT) for name in _ONE_LAYER),
    ]
    table, size = _table(tensors)
    to.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(_NUMBERS) + len(kept)))
    to.writelines(_pair(name, value) for name, value in _NUMBERS.items())
    with Path(model).open("rb") as file:
        for begin, end in kept:
            file.seek(begin)
            to.write(file.read(end - begin))
    to.write(table)
    # All weights are zero: they are a hole in the file.
    to.truncate(_aligned(to.tell()) + size)


def _tokens(head: Head) -> int:
    tokens = head.keys.get(_TOKENS)
    if isinstance(tokens, Skipped):
        return tokens.length
    if isinstance(tokens, list) and tokens:
        return len(tokens)
    raise BadModelFile("it has no vocabulary")


def _is_kept(name: str) -> bool:
    return name == _NAME or name.startswith(_TOKENIZER)


def _table(tensors: list[tuple[str, int, tuple[int, int]]]) -> tuple[bytes, int]:
    """Return the table of the tensors, and the bytes of their data."""
    table, size = b"", 0
    for name, rows, (kind, row) in tensors:
        shape = (_WIDTH, rows)[: 1 if rows == 1 else 2]
        numbers = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, size)
        table += _text(name) + numbers
        size = _aligned(size + rows * row)
    return table, size


def _pair(name: str, value: float | str) -> bytes:
    if isinstance(value, str):
        return _text(name) + struct.pack("<I", _STRING) + _text(value)
    kind, form = (_F32, "<If") if type(value) is float else (_U32, "<II")
    return _text(name) + struct.pack(form, kind, value)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
