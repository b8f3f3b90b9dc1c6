"""Tiny models of several architectures, which store their context in different ways.

Their weights are noise from a fixed seed; tokenizer and chat template are SmolLM2's. Their answers
are nonsense in whole words. An engine that reads an answer gets the tokens that it wrote, and each
answer depends on all of the prompt that the model can see.
"""

from __future__ import annotations

import random
import re
import struct
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from real_engines import MODEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Amount = int | float | bool | str | list[int] | list[bool]

EMBEDDING, HIDDEN, WINDOW, ORIGINAL_CONTEXT = 48, 96, 64, 512
# The size of the vocabulary: it decides how long a load takes. The first tokens are the most
# frequent.
TOKENS = 6000
# Single precision, so that the batches of a prompt do not change the answer.
EXACT = ("-ub", "64", "-ctk", "f32", "-ctv", "f32", "-fa", "off")
_HEADS, _HEAD, _ALIGNMENT = 3, 16, 32
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# Bytes to read from SmolLM2's file.
_HEAD_OF_FILE = 8 << 20
# Types of tensors.
_FLOAT, _HALF = 0, 1


@dataclass(frozen=True)
class Tensor:
    """Noise between ``scale`` and its double; or just ``scale`` if it is not noisy."""

    shape: tuple[int, ...]
    scale: float = 2**-4
    noisy: bool = True
    kind: int = _FLOAT
    sign: int = 1


def _ones(size: int, scale: float = 1.0) -> Tensor:
    return Tensor((size,), scale, noisy=False)


def _feed_forward() -> dict[str, Tensor]:
    return {
        "ffn_norm.weight": _ones(EMBEDDING),
        "ffn_gate.weight": Tensor((EMBEDDING, HIDDEN)),
        "ffn_up.weight": Tensor((EMBEDDING, HIDDEN)),
        "ffn_down.weight": Tensor((HIDDEN, EMBEDDING)),
    }


def _attention(scale: float = 2**-4) -> dict[str, Tensor]:
    """Return attention with large queries and keys; else all words would count the same."""
    return {
        "attn_norm.weight": _ones(EMBEDDING),
        "attn_q.weight": Tensor((EMBEDDING, EMBEDDING), scale),
        "attn_k.weight": Tensor((EMBEDDING, EMBEDDING), scale),
        "attn_v.weight": Tensor((EMBEDDING, EMBEDDING)),
        "attn_output.weight": Tensor((EMBEDDING, EMBEDDING)),
    }


_SHARP = {"attn_q_norm.weight": _ones(_HEAD, 2.0), "attn_k_norm.weight": _ones(_HEAD, 2.0)}
_POSTED = {
    "post_attention_norm.weight": _ones(EMBEDDING, 2.0),
    "post_ffw_norm.weight": _ones(EMBEDDING),
}
_CONVOLUTION = {
    "attn_norm.weight": _ones(EMBEDDING),
    "shortconv.conv.weight": Tensor((3, EMBEDDING), 0.5),
    "shortconv.in_proj.weight": Tensor((EMBEDDING, 3 * EMBEDDING)),
    "shortconv.out_proj.weight": Tensor((EMBEDDING, EMBEDDING)),
}
_INNER, _STATES, _RANK = 2 * EMBEDDING, 16, 4
_MAMBA = {
    "attn_norm.weight": _ones(EMBEDDING),
    "ssm_in.weight": Tensor((EMBEDDING, 2 * _INNER)),
    "ssm_conv1d.weight": Tensor((4, _INNER), 0.25),
    "ssm_conv1d.bias": Tensor((_INNER,)),
    "ssm_x.weight": Tensor((_INNER, _RANK + 2 * _STATES)),
    "ssm_dt.weight": Tensor((_RANK, _INNER), 0.25),
    "ssm_dt.bias": Tensor((_INNER,)),
    # A small value: the state decays slowly.
    "ssm_a": Tensor((_STATES, _INNER), 2**-8, sign=-1),
    "ssm_d": Tensor((_INNER,), 0.5),
    "ssm_out.weight": Tensor((_INNER, EMBEDDING)),
}


@dataclass(frozen=True)
class Tiny:
    """One architecture: its layers, and its metadata beside the common ones."""

    architecture: str
    layers: tuple[dict[str, Tensor], ...]
    says: dict[str, Amount] = field(default_factory=dict)
    more: dict[str, Tensor] = field(default_factory=dict)
    last_norm: str = "output_norm.weight"


# All layers see the whole context, as in SmolLM2, but it is much faster: seconds, not minutes.
PLAIN = Tiny("llama", (_attention(2**-2) | _feed_forward(),) * 3, {"rope.dimension_count": _HEAD})
# One layer sees the whole context, the next one the last WINDOW tokens.
SLIDING = Tiny(
    "gemma3",
    (_attention() | _SHARP | _POSTED | _feed_forward(),) * 4,
    {
        "attention.sliding_window": WINDOW,
        "attention.sliding_window_pattern": [True, False, True, False],
        "attention.key_length": _HEAD,
        "attention.value_length": _HEAD,
    },
)
# Attention, and convolutions whose state cannot be rewound.
HYBRID = Tiny(
    "lfm2",
    (_CONVOLUTION | _feed_forward(), _attention() | _SHARP | _feed_forward()) * 2,
    {"shortconv.l_cache": 3, "attention.head_count_kv": [0, _HEADS, 0, _HEADS]},
    last_norm="token_embd_norm.weight",
)
RECURRENT = Tiny(
    "mamba",
    (_MAMBA,) * 3,
    {
        "ssm.conv_kernel": 4,
        "ssm.inner_size": _INNER,
        "ssm.state_size": _STATES,
        "ssm.time_step_rank": _RANK,
        "attention.head_count": 0,
        "feed_forward_length": 0,
    },
)
# Uses other RoPE factors if the context is larger than that of its training.
LONG_ROPE = Tiny(
    "phi3",
    (
        _attention(2**-3)
        | {
            "ffn_norm.weight": _ones(EMBEDDING),
            "ffn_up.weight": Tensor((EMBEDDING, 2 * HIDDEN)),
            "ffn_down.weight": Tensor((HIDDEN, EMBEDDING)),
        },
    )
    * 3,
    {"rope.scaling.original_context_length": ORIGINAL_CONTEXT, "rope.dimension_count": _HEAD},
    {
        "rope_factors_long.weight": _ones(_HEAD // 2, 8.0),
        "rope_factors_short.weight": _ones(_HEAD // 2),
    },
)


def write(
    tiny: Tiny,
    path: Path,
    edit: Callable[[str, bytes], bytes] = lambda _name, content: content,
    more: Mapping[str, Amount] | None = None,
) -> Path:
    """Write the model to ``path``, and return it.

    ``edit`` may change the bytes of each tensor; ``more`` are further keys.
    """
    noise = random.Random(tiny.architecture)
    tokenizer, words, _ = _tokenizer()
    said: dict[str, Amount] = {
        "context_length": 8192,
        "embedding_length": EMBEDDING,
        "block_count": len(tiny.layers),
        "feed_forward_length": HIDDEN,
        "attention.head_count": _HEADS,
        "attention.head_count_kv": _HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
    } | tiny.says
    known = b"".join(_pair(f"{tiny.architecture}.{key}", value) for key, value in said.items())
    known = _pair("general.architecture", tiny.architecture) + known + b"".join(tokenizer)
    known += b"".join(_pair(key, value) for key, value in (more or {}).items())
    vocabulary = Tensor((EMBEDDING, len(words)), kind=_HALF)
    tensors = {"token_embd.weight": vocabulary, "output.weight": vocabulary}
    tensors |= {tiny.last_norm: _ones(EMBEDDING)} | tiny.more
    for number, layer in enumerate(tiny.layers):
        tensors |= {f"blk.{number}.{name}": tensor for name, tensor in layer.items()}
    infos, data = b"", b""
    for name, tensor in tensors.items():
        infos += _text(name) + struct.pack("<I", len(tensor.shape))
        infos += struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, tensor.kind, len(data))
        content = _content(tensor, noise)
        content = _only(words, content) if name == "output.weight" else content
        data += _aligned(edit(name, content))
    count = 1 + len(said) + len(tokenizer) + len(more or {})
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), count) + known + infos
    path.write_bytes(_aligned(head) + data)
    return path


def _content(tensor: Tensor, noise: random.Random) -> bytes:
    """Return numbers of one exponent, with a random fraction and sign."""
    size, form, fraction = (4, "<f", 0x807FFFFF) if tensor.kind == _FLOAT else (2, "<e", 0x83FF)
    amount = prod(tensor.shape)
    one = struct.pack(form, tensor.scale)
    if not tensor.noisy:
        return one * amount
    # One long integer, for speed: the bits of all numbers are drawn and set at once.
    every = int.from_bytes(b"\1".ljust(size, b"\0") * amount, "little")
    drawn = int.from_bytes(noise.randbytes(size * amount), "little") & every * fraction
    numbers = drawn | every * int.from_bytes(one, "little")
    if tensor.sign < 0:
        numbers |= every << (8 * size - 1)
    return numbers.to_bytes(size * amount, "little")


def _only(words: list[bool], rows: bytes) -> bytes:
    """Return the rows, with zeros for all tokens that are not words."""
    width = len(rows) // len(words)
    return b"".join(
        rows[number * width : (number + 1) * width] if word else bytes(width)
        for number, word in enumerate(words)
    )


def vocabulary() -> tuple[list[bytes], list[bool]]:
    """Return the tokens, by their number, and which of them are words."""
    _, words, tokens = _tokenizer()
    return tokens, words


@cache
def _tokenizer() -> tuple[list[bytes], list[bool], list[bytes]]:
    """Return the tokenizer of SmolLM2's file, cut to ``TOKENS``; which tokens are words; all."""
    with Path(MODEL).open("rb") as file:
        content = memoryview(file.read(_HEAD_OF_FILE))
    pairs: dict[bytes, bytes] = {}
    tokens: list[bytes] = []
    at = 24
    (count,) = struct.unpack_from("<Q", content, 16)
    for _ in range(count):
        start = at
        key, at = _string(content, at)
        head = bytes(content[start : at + 4])
        (kind,) = struct.unpack_from("<I", content, at)
        value, at = at + 4, _after(content, at + 4, kind)
        if key == b"tokenizer.ggml.tokens":
            tokens = list(islice(_strings(content, value), TOKENS))
            pairs[key] = head + _array(_STRING, TOKENS, *map(_bytes, tokens))
        elif key == b"tokenizer.ggml.token_type":
            kinds = bytes(content[value + 12 : value + 12 + TOKENS * _WIDTHS[_I32]])
            pairs[key] = head + _array(_I32, TOKENS, kinds)
        elif key == b"tokenizer.ggml.merges":
            # A merge makes one token of two; the merges of tokens that are cut are cut, too.
            known = {*tokens}
            merges = [each for each in _strings(content, value) if each.replace(b" ", b"") in known]
            pairs[key] = head + _array(_STRING, len(merges), *map(_bytes, merges))
        elif key.startswith(b"tokenizer."):
            pairs[key] = bytes(content[start:at])
    words = [bool(re.fullmatch("\u0120[a-z]{3,}".encode(), token)) for token in tokens]
    return list(pairs.values()), words, tokens


def _array(kind: int, count: int, *items: bytes) -> bytes:
    return struct.pack("<IQ", kind, count) + b"".join(items)


def _bytes(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _string(content: memoryview, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from("<Q", content, at)
    return bytes(content[at + 8 : at + 8 + size]), at + 8 + size


def _strings(content: memoryview, at: int) -> Iterator[bytes]:
    _, count = struct.unpack_from("<IQ", content, at)
    at += 12
    for _ in range(count):
        text, at = _string(content, at)
        yield text


def _after(content: memoryview, at: int, kind: int) -> int:
    if kind == _STRING:
        return _string(content, at)[1]
    if kind != _ARRAY:
        return at + _WIDTHS[kind]
    kind, count = struct.unpack_from("<IQ", content, at)
    at += 12
    for _ in range(count):
        at = _after(content, at, kind)
    return at


def _pair(key: str, value: Amount) -> bytes:
    kind, packed = _packed(value)
    return _text(key) + struct.pack("<I", kind) + packed


def _packed(value: Amount) -> tuple[int, bytes]:
    if isinstance(value, list):
        kinds, parts = zip(*map(_packed, value), strict=True)
        return _ARRAY, struct.pack("<IQ", kinds[0], len(value)) + b"".join(parts)
    if isinstance(value, str):
        return _STRING, _text(value)
    if isinstance(value, bool):
        return _BOOL, bytes([value])
    if isinstance(value, float):
        return _F32, struct.pack("<f", value)
    return _U32, struct.pack("<I", value)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _aligned(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)
