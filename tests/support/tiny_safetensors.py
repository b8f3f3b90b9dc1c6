"""A tiny model in the files of Hugging Face's: its weights are noise, its tokens are bytes.

For servers that read no GGUF. Its answers are nonsense in small letters.
"""

from __future__ import annotations

import json
import random
import string
import struct
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = 2048
_EMBEDDING, _HIDDEN, _LAYERS, _HEADS, _BYTES = 32, 64, 2, 2, 256
_SPECIAL = ("<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
_TOKENS = _BYTES + len(_SPECIAL)
_LETTERS = frozenset(string.ascii_lowercase.encode())
_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def write_safetensors(folder: Path) -> Path:
    """Write the model's files into ``folder``, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": _EMBEDDING,
        "intermediate_size": _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": _TOKENS,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": False,
        "bos_token_id": _BYTES,
        "eos_token_id": _BYTES + 1,
    }
    said = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": _SPECIAL[0],
        "eos_token": _SPECIAL[1],
        "chat_template": _TEMPLATE,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    (folder / "model.safetensors").write_bytes(_weights())
    return folder


def _weights() -> bytes:
    noise = random.Random("tiny")
    head: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    data = b""
    for name, shape in _shapes().items():
        # A norm, or noise; only letters are ever written.
        amounts = [1.0 if len(shape) == 1 else noise.gauss(0, 0.2) for _ in range(prod(shape))]
        if name == "lm_head.weight":
            amounts = [
                amount if place // _EMBEDDING in _LETTERS else 0.0
                for place, amount in enumerate(amounts)
            ]
        packed = struct.pack(f"<{len(amounts)}f", *amounts)
        offsets = [len(data), len(data) + len(packed)]
        head[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": offsets}
        data += packed
    told = json.dumps(head).encode()
    told += b" " * (-len(told) % 8)
    return struct.pack("<Q", len(told)) + told + data


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (_TOKENS, _EMBEDDING),
        "lm_head.weight": (_TOKENS, _EMBEDDING),
        "model.norm.weight": (_EMBEDDING,),
    }
    for layer in range(_LAYERS):
        here = f"model.layers.{layer}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{here}{norm}.weight"] = (_EMBEDDING,)
        for part in "qkvo":
            shapes[f"{here}self_attn.{part}_proj.weight"] = (_EMBEDDING, _EMBEDDING)
        for part in ("gate", "up"):
            shapes[f"{here}mlp.{part}_proj.weight"] = (_HIDDEN, _EMBEDDING)
        shapes[f"{here}mlp.down_proj.weight"] = (_EMBEDDING, _HIDDEN)
    return shapes


def _tokenizer() -> dict[str, Any]:
    """Return a tokenizer with a token for each byte, and those of the chat template."""
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    level |= {"use_regex": False}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    special = [
        {"id": _BYTES + number, "content": text, "special": True, **plain}
        for number, text in enumerate(_SPECIAL)
    ]
    return {
        "version": "1.0",
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {"type": "BPE", "unk_token": None, "vocab": _vocabulary(), "merges": []},
    }


def _vocabulary() -> dict[str, int]:
    """Return a letter for each byte: itself if it can be seen, else one from 256 on."""
    seen = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(_BYTES) if byte not in seen]
    return {
        chr(byte) if byte in seen else chr(_BYTES + hidden.index(byte)): byte
        for byte in range(_BYTES)
    }
