"""GGUF files for tests, from their keys and tensors."""

from __future__ import annotations

import os
import struct
from math import prod
from typing import TYPE_CHECKING, Any

from models.gguf import TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Shapes = Mapping[str, tuple[tuple[int, ...], int]]

U8, I8, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = 0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12
_FORMS = {U8: "<B", I8: "<b", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q", I64: "<q"}
_FORMS[F64] = "<d"
_ALIGNMENT = 32


def text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def single(kind: int, value: Any) -> bytes:
    return text(value) if kind == STRING else struct.pack(_FORMS[kind], value)


def array(kind: int, values: list[Any]) -> bytes:
    return struct.pack("<IQ", kind, len(values)) + b"".join(single(kind, v) for v in values)


def kind_of(value: Any) -> int:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return U32 if 0 <= value < 1 << 32 else I64 if value < 0 else U64
    return F32 if isinstance(value, float) else STRING


def pair(key: str, value: Any) -> bytes:
    """Return a key with its value; a list has the type of its first element."""
    if isinstance(value, list):
        kind = kind_of(value[0]) if value else U32
        return text(key) + struct.pack("<I", ARRAY) + array(kind, value)
    kind = kind_of(value)
    return text(key) + struct.pack("<I", kind) + single(kind, value)


def head_and_size(keys: Mapping[str, Any], tensors: Shapes, version: int = 3) -> tuple[bytes, int]:
    """Return the head with these keys and tensors of (shape, type), and the size of the data."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    head += b"".join(pair(key, value) for key, value in keys.items())
    data = 0
    for name, (shape, kind) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}QIQ", *shape, kind, data)
        data += -(-TYPES[kind].bytes_of(prod(shape)) // _ALIGNMENT) * _ALIGNMENT
    return head + bytes(-len(head) % _ALIGNMENT if tensors else 0), data


def gguf(keys: Mapping[str, Any], tensors: Shapes | None = None, *, version: int = 3) -> bytes:
    """Return a file with these keys, and with tensors of (shape, type) that are all zeros."""
    head, size = head_and_size(keys, tensors or {}, version)
    return head + bytes(size)


def sparse(path: Path, keys: Mapping[str, Any], tensors: Shapes) -> Path:
    """Write the same to ``path``, whatever its size: the zeros take no room on the disk."""
    head, size = head_and_size(keys, tensors)
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    return path


def llama(layers: int = 2, **more: Any) -> bytes:
    """Return a small whole model; ``more`` are further keys, with ``__`` for dots."""
    keys: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "Small",
        "llama.block_count": layers,
        "llama.context_length": 4096,
        "llama.embedding_length": 64,
        "llama.feed_forward_length": 128,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "tokenizer.chat_template": "{{ messages }}",
    }
    keys |= {key.replace("__", "."): value for key, value in more.items()}
    return gguf(keys, weights(layers))


def weights(layers: int, first: int = 0, *, outside: bool = True) -> Shapes:
    """Return the tensors of some layers, in half precision."""
    found: dict[str, tuple[tuple[int, ...], int]] = {}
    if outside:
        found = {"token_embd.weight": ((64, 100), 1), "output_norm.weight": ((64,), 0)}
    for layer in range(first, first + layers):
        found[f"blk.{layer}.attn_q.weight"] = ((64, 64), 1)
        found[f"blk.{layer}.attn_k.weight"] = ((64, 32), 1)
        found[f"blk.{layer}.attn_v.weight"] = ((64, 32), 1)
        found[f"blk.{layer}.ffn_up.weight"] = ((64, 128), 1)
    return found
