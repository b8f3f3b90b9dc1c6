"""A projector of pictures and sounds for the tiny models: one block each, of noise.

Its kinds are gemma3's for pictures (64 x 64 pixels in patches of 16) and ultravox's for sounds (80
bands). What the model says of them is nonsense; what they count as is not.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

from gguf_files import head_and_size
from tiny_models import EMBEDDING

if TYPE_CHECKING:
    from pathlib import Path

_SIZE, _HIDDEN, _BANDS, _STACK, _SIDE, _PATCH = 32, 64, 80, 4, 64, 16
_FLOAT, _HALF = 0, 1
_ALIGNMENT = 32


def write_projector(path: Path) -> Path:
    """Write the projector to ``path``, and return it."""
    keys: dict[str, Any] = {
        "general.architecture": "clip",
        "general.file_type": 1,
        "clip.has_vision_encoder": True,
        "clip.has_audio_encoder": True,
        "clip.use_gelu": True,
        "clip.vision.projector_type": "gemma3",
        "clip.vision.image_size": _SIDE,
        "clip.vision.patch_size": _PATCH,
        "clip.vision.projector.scale_factor": 2,
        "clip.vision.preproc_image_size": _SIDE,
        "clip.vision.image_mean": [0.5] * 3,
        "clip.vision.image_std": [0.5] * 3,
        "clip.audio.projector_type": "ultravox",
        "clip.audio.num_mel_bins": _BANDS,
        "clip.audio.projector.stack_factor": _STACK,
    }
    for side in ("vision", "audio"):
        keys |= {
            f"clip.{side}.embedding_length": _SIZE,
            f"clip.{side}.attention.head_count": 2,
            f"clip.{side}.feed_forward_length": _HIDDEN,
            f"clip.{side}.block_count": 1,
            f"clip.{side}.projection_dim": EMBEDDING,
            f"clip.{side}.attention.layer_norm_epsilon": 1e-5,
        }
    patches = (_SIDE // _PATCH) ** 2
    tensors: dict[str, tuple[tuple[int, ...], int]] = {
        "v.patch_embd.weight": ((_PATCH, _PATCH, 3, _SIZE), _HALF),
        "v.patch_embd.bias": ((_SIZE,), _FLOAT),
        "v.position_embd.weight": ((_SIZE, patches), _FLOAT),
        **_block("v"),
        "mm.input_projection.weight": ((EMBEDDING, _SIZE), _FLOAT),
        "mm.soft_emb_norm.weight": ((_SIZE,), _FLOAT),
        "a.conv1d.1.weight": ((3, _BANDS, _SIZE), _HALF),
        "a.conv1d.1.bias": ((1, _SIZE), _FLOAT),
        "a.conv1d.2.weight": ((3, _SIZE, _SIZE), _HALF),
        "a.conv1d.2.bias": ((1, _SIZE), _FLOAT),
        "a.position_embd.weight": ((_SIZE, 1500), _FLOAT),
        **_block("a"),
        "mm.a.norm_pre.weight": ((_SIZE * _STACK,), _FLOAT),
        "mm.a.mlp.1.weight": ((_SIZE * _STACK, _HIDDEN), _HALF),
        "mm.a.norm_mid.weight": ((_HIDDEN // 2,), _FLOAT),
        "mm.a.mlp.2.weight": ((_HIDDEN // 2, EMBEDDING), _HALF),
    }
    head, _ = head_and_size(keys, tensors)
    noise = random.Random(1)
    data = b"".join(_content(name, shape, kind, noise) for name, (shape, kind) in tensors.items())
    path.write_bytes(head + data)
    return path


def _block(side: str) -> dict[str, tuple[tuple[int, ...], int]]:
    tensors: dict[str, tuple[tuple[int, ...], int]] = {}
    for part in ("attn_q", "attn_k", "attn_v", "attn_out"):
        tensors[f"{side}.blk.0.{part}.weight"] = ((_SIZE, _SIZE), _HALF)
        if part != "attn_k" or side == "v":
            tensors[f"{side}.blk.0.{part}.bias"] = ((_SIZE,), _FLOAT)
    for norm in ("blk.0.ln1", "blk.0.ln2", "post_ln"):
        tensors[f"{side}.{norm}.weight"] = ((_SIZE,), _FLOAT)
        tensors[f"{side}.{norm}.bias"] = ((_SIZE,), _FLOAT)
    for part, wide, high in (("ffn_up", _SIZE, _HIDDEN), ("ffn_down", _HIDDEN, _SIZE)):
        tensors[f"{side}.blk.0.{part}.weight"] = ((wide, high), _HALF)
        tensors[f"{side}.blk.0.{part}.bias"] = ((high,), _FLOAT)
    return tensors


def _content(name: str, shape: tuple[int, ...], kind: int, noise: random.Random) -> bytes:
    count = 1
    for side in shape:
        count *= side
    norm = "ln" in name or "norm" in name
    values = [
        1.0 if norm and name.endswith("weight") else noise.uniform(-0.05, 0.05)
        for _ in range(count)
    ]
    data = struct.pack(f"<{count}{'f' if kind == _FLOAT else 'e'}", *values)
    return data + bytes(-len(data) % _ALIGNMENT)
