"""models/model_file.py: what a head tells about its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from gguf_files import gguf, llama, weights
from hypothesis import given, settings
from json_values import Parts, from_bytes
from real_engines import MODEL
from tiny_models import HYBRID, LONG_ROPE, RECURRENT, SLIDING, TOKENS, write

from models.gguf import head_of, read_head
from models.model_file import FileFacts, facts_of, from_json, together


def facts(content: bytes) -> FileFacts:
    return facts_of(read_head(lambda at, count: content[at : at + count], len(content)))


def keyed(architecture: str = "llama", **more: Any) -> FileFacts:
    keys = {"general.architecture": architecture}
    return facts(gguf(keys | {key.replace("__", "."): value for key, value in more.items()}))


def test_the_bundled_model() -> None:
    told = facts_of(head_of(MODEL))
    assert (told.architecture, told.size_label, told.quantisation) == ("llama", "135M", "Q4_1")
    assert (told.kind, told.licence, told.context_length) == ("model", "apache-2.0", 8192)
    assert (told.parameters, told.layers, told.vocabulary) == (134_515_008, 30, 49_152)
    assert (told.heads, told.kv_heads, told.width) == ((9,), (3,), 576)
    assert told.chats
    assert not told.tools
    # All but the head of the file.
    assert 96_000_000 < told.weights < told.size == Path(MODEL).stat().st_size
    assert told.attention == tuple(range(30))


def test_a_sliding_window_is_told_by_layer(tmp_path: Path) -> None:
    told = facts_of(head_of(write(SLIDING, tmp_path / "m.gguf")))
    assert (told.window, told.window_layers) == (64, (True, False, True, False))
    assert (told.key_length, told.value_length) == (16, 16)
    assert told.vocabulary == TOKENS


def test_a_hybrid_model_tells_which_layers_attend(tmp_path: Path) -> None:
    told = facts_of(head_of(write(HYBRID, tmp_path / "m.gguf")))
    assert (told.attention, told.recurrent, told.hybrid) == ((1, 3), (0, 2), True)
    assert told.kv_heads == (0, 3, 0, 3)
    assert told.state_numbers == 48 * 2


def test_a_recurrent_model_has_a_state_and_no_attention(tmp_path: Path) -> None:
    told = facts_of(head_of(write(RECURRENT, tmp_path / "m.gguf")))
    assert (told.attention, told.recurrent, told.hybrid) == ((), (0, 1, 2), False)
    assert told.state_numbers == 3 * 96 + 96 * 16


def test_long_factors_are_told(tmp_path: Path) -> None:
    told = facts_of(head_of(write(LONG_ROPE, tmp_path / "m.gguf")))
    assert told.long_factors
    assert told.original_context == 512


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"architecture": "clip"}, "projector"),
        ({"architecture": "clip", "general__type": "model"}, "projector"),
        ({"general__type": "mmproj"}, "projector"),
        ({"general__type": "adapter"}, "adapter"),
        ({"architecture": "controlvector"}, "adapter"),
        ({"general__type": "imatrix"}, "other"),
        ({"architecture": "eagle3"}, "draft"),
        ({"general__type": "model"}, "model"),
        ({}, "model"),
    ],
)
def test_the_kind_of_a_file(keys: dict[str, Any], kind: str) -> None:
    assert keyed(**keys).kind == kind


def test_a_projector_tells_its_media_and_its_width() -> None:
    sees = keyed("clip", clip__has_vision_encoder=True, clip__vision__projection_dim=2560)
    assert (sees.vision, sees.audio, sees.projection) == (True, False, 2560)
    assert keyed("clip", clip__has_audio_encoder=True).audio


@pytest.mark.parametrize(
    ("pooling", "embeds", "ranks"), [(0, False, False), (1, True, False), (4, False, True)]
)
def test_pooling_tells_what_a_model_is_for(pooling: int, embeds: bool, ranks: bool) -> None:
    told = keyed("bert", bert__pooling_type=pooling, bert__attention__causal=False)
    assert (told.embeds, told.ranks, told.causal) == (embeds, ranks, False)


@pytest.mark.parametrize(
    ("template", "tools", "thinking"),
    [
        ("{% if tools %}{{ tools | tojson }}{% endif %}", True, False),
        ("{{ message.tool_calls }}", True, False),
        ("<think>{{ message.reasoning_content }}</think>", False, True),
        ("{% if enable_thinking %}", False, True),
        ("{{ messages }} toolset", False, False),
    ],
)
def test_the_template_tells_of_tools_and_thinking(
    template: str, tools: bool, thinking: bool
) -> None:
    told = keyed(tokenizer__chat_template=template)
    assert (told.chats, told.tools, told.thinking) == (True, tools, thinking)


def test_a_template_of_its_own_tells_of_tools() -> None:
    assert keyed(tokenizer__chat_templates=["rag", "tool_use"]).tools


def test_the_quantisation_is_named_or_found() -> None:
    assert keyed(general__file_type=15).quantisation == "Q4_K_M"
    # Guessed by the writer, or of a newer release: what most bytes have.
    tensors = {"a": ((256, 8), 12), "b": ((64,), 0)}
    assert facts(gguf({"general.file_type": 1024 + 15}, tensors)).quantisation == "Q4_K"
    assert keyed().quantisation == ""


def test_weights_of_layers_experts_and_the_rest_are_told_apart() -> None:
    tensors = {"token_embd.weight": ((64, 100), 1), "blk.1.ffn_up_exps.weight": ((64, 8, 4), 1)}
    tensors["blk.1.attn_k.weight"] = ((64, 32), 1)
    told = facts(gguf({"general.architecture": "llama"}, tensors))
    assert (told.outside, told.embedding, told.vocabulary) == (12_800, 12_800, 100)
    assert told.bytes_by_layer == (0, 4096 + 4096)
    assert told.experts_by_layer == (0, 4096)
    assert (told.weights, told.attention) == (12_800 + 8192, (1,))


def test_a_linear_attention_is_not_taken_for_one_of_all_tokens() -> None:
    tensors = {"blk.0.attn_qkv.weight": ((8, 8), 1), "blk.0.ssm_a": ((8,), 0)}
    tensors["blk.1.attn_qkv.weight"] = ((8, 8), 1)
    assert facts(gguf({}, tensors)).attention == (1,)


def test_shards_are_added_up() -> None:
    first = facts(
        gguf(
            {"general.architecture": "llama", "split.no": 0, "split.count": 2},
            weights(2),
        )
    )
    second = facts(gguf({"split.no": 1, "split.count": 2}, weights(1, 2, outside=False)))
    whole = facts(gguf({"general.architecture": "llama"}, weights(3)))
    told = together([second, first])
    assert told.shards == 2
    for name in ("architecture", "weights", "bytes_by_layer", "attention", "parameters"):
        assert getattr(told, name) == getattr(whole, name)
    assert told.size == first.size + second.size


def test_the_last_layer_may_lie_in_another_shard() -> None:
    first = facts(gguf({"split.count": 2}, {"token_embd.weight": ((64, 100), 1)}))
    second = facts(gguf({"split.no": 1}, {"output.weight": ((64, 100), 1)}))
    assert first.tied
    assert not together([first, second]).tied


@pytest.mark.parametrize("wrong", ["text", -5, 1.5, True, (1 << 64) - 1])
def test_a_key_of_a_wrong_type_counts_as_absent(wrong: object) -> None:
    assert keyed(llama__context_length=wrong).context_length == 0


KEYS = """general.name general.file_type llama.block_count llama.pooling_type split.count
    llama.attention.sliding_window_pattern tokenizer.chat_template clip.projection_dim
    llama.ssm.inner_size llama.attention.head_count llama.wkv.head_size""".split()


def a_value(parts: Parts) -> Any:
    kind = parts.below(6)
    if kind == 0:
        return bool(parts.below(2))
    if kind == 1:
        return parts.below(256)
    if kind == 2:
        return parts.one_of((-(1 << 63), -1, 1 << 31, (1 << 63) - 1, (1 << 64) - 1))
    if kind == 3:
        return parts.text(5)
    if kind == 4:
        return parts.several(5, lambda: parts.one_of((0, 1, parts.below(256), 1 << 31)))
    return parts.several(5, lambda: bool(parts.below(2)))


@given(from_bytes(lambda parts: {key: a_value(parts) for key in KEYS if parts.below(2)}))
@settings(max_examples=200)
def test_facts_of_any_keys_survive_a_cache(keys: dict[str, Any]) -> None:
    told = facts(gguf({"general.architecture": "llama"} | keys, weights(1)))
    assert from_json(orjson.loads(orjson.dumps(told))) == told


def test_facts_of_a_wrong_type_are_refused() -> None:
    said = orjson.loads(orjson.dumps(facts(llama())))
    for wrong in ({"layers": "many"}, {"colour": 5}, {"vision": 1}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            from_json(said | wrong)
