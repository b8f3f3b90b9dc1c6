"""Models with the shapes of large ones that people use, and no weights: sparse files of zeros.

An engine tells what memory it would take for them, but cannot answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gguf_files import sparse

if TYPE_CHECKING:
    from pathlib import Path

    from gguf_files import Shapes

_F32, _Q4_K, _Q6_K = 0, 12, 14


@dataclass(frozen=True)
class Large:
    """The shape of a model: of its layers, its heads and its vocabulary."""

    architecture: str
    layers: int
    width: int
    wide: int
    heads: int
    kv_heads: int
    head: int
    tokens: int
    experts: int = 0
    normed_heads: bool = False
    normed_after: bool = False
    tied: bool = False
    says: dict[str, Any] = field(default_factory=dict)


LLAMA_8B = Large("llama", 32, 4096, 14336, 32, 8, 128, 128_256)
LLAMA_70B = Large("llama", 80, 8192, 28672, 64, 8, 128, 128_256)
QWEN3_8B = Large("qwen3", 36, 4096, 12288, 32, 8, 128, 151_936, normed_heads=True)
QWEN3_30B = Large(
    "qwen3moe",
    48,
    2048,
    768,
    32,
    4,
    128,
    151_936,
    experts=128,
    normed_heads=True,
    says={"expert_used_count": 8, "feed_forward_length": 6144},
)
GEMMA3_4B = Large(
    "gemma3",
    34,
    2560,
    10240,
    8,
    4,
    256,
    262_144,
    normed_heads=True,
    normed_after=True,
    tied=True,
    says={"attention.sliding_window": 1024},
)


def write_large(model: Large, path: Path) -> Path:
    """Write the model to ``path`` in Q4_K, without a tokenizer."""
    keys = {
        "vocab_size": model.tokens,
        "block_count": model.layers,
        "context_length": 131072,
        "embedding_length": model.width,
        "feed_forward_length": model.wide,
        "attention.head_count": model.heads,
        "attention.head_count_kv": model.kv_heads,
        "attention.key_length": model.head,
        "attention.value_length": model.head,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": model.head,
    }
    if model.experts:
        keys |= {"expert_count": model.experts, "expert_feed_forward_length": model.wide}
    said = {f"{model.architecture}.{key}": value for key, value in (keys | model.says).items()}
    said |= {"general.architecture": model.architecture, "tokenizer.ggml.model": "none"}
    return sparse(path, said, _tensors(model))


def _tensors(model: Large) -> Shapes:
    width, rows = model.width, (model.width, model.tokens)
    tensors = {"token_embd.weight": (rows, _Q4_K), "output_norm.weight": ((width,), _F32)}
    if not model.tied:
        tensors["output.weight"] = (rows, _Q6_K)
    for number in range(model.layers):
        tensors |= {f"blk.{number}.{name}.weight": each for name, each in _layer(model).items()}
    return tensors


def _layer(model: Large) -> Shapes:
    width, inside = model.width, model.heads * model.head
    keys, more = model.kv_heads * model.head, (model.experts,) if model.experts else ()
    names = [f"ffn_{name}{'_exps' if more else ''}" for name in ("gate", "up", "down")]
    norms = {"attn_norm": width, "ffn_norm": width}
    if model.normed_heads:
        norms |= {"attn_q_norm": model.head, "attn_k_norm": model.head}
    if model.normed_after:
        norms |= {"post_attention_norm": width, "post_ffw_norm": width}
    found: dict[str, tuple[tuple[int, ...], int]] = {
        "attn_q": ((width, inside), _Q4_K),
        "attn_k": ((width, keys), _Q4_K),
        "attn_v": ((width, keys), _Q4_K),
        "attn_output": ((inside, width), _Q4_K),
        names[0]: ((width, model.wide, *more), _Q4_K),
        names[1]: ((width, model.wide, *more), _Q4_K),
        names[2]: ((model.wide, width, *more), _Q4_K),
    }
    if more:
        found["ffn_gate_inp"] = ((width, *more), _F32)
    return found | {name: ((size,), _F32) for name, size in norms.items()}
