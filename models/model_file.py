"""What the head of a model's file tells about the model. Pure.

``facts_of`` keeps what the gateway uses of a head and forgets the rest, so that the facts of many
files are small. A model in several files has its keys in the first one and tensors in each:
``together`` adds them up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.gguf import Head, Tensor, Value

MODEL, PROJECTOR, ADAPTER, DRAFT, OTHER = "model", "projector", "adapter", "draft", "other"
# Files that work only beside a model.
_KINDS = {"adapter": ADAPTER, "mmproj": PROJECTOR, "imatrix": OTHER}
_PROJECTORS = frozenset({"clip"})
_ADAPTERS = frozenset({"controlvector"})
_DRAFTS = frozenset({"eagle3", "dflash", "gemma4-assistant"})
# How a sequence becomes one vector: by these, the model embeds; by the last one, it ranks.
_EMBEDS = frozenset({1, 2, 3})
_RANKS = 4
# Names of the numbers in ``general.file_type``.
_FILE_TYPES = dict(
    enumerate(
        """
        F32 F16 Q4_0 Q4_1 Q4_1 - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S
        Q5_K_M Q6_K IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M
        IQ4_XS IQ1_M BF16 Q4_0 Q4_0 Q4_0 TQ1_0 TQ2_0 MXFP4 NVFP4 Q1_0 Q2_0
        """.split()  # noqa: SIM905 - forty lines of one word each read worse
    )
)
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)")
_KEYS_OF_ATTENTION = ("attn_k", "attn_kv_a_mqa", "attn_kv")
_RECURRENT = ("ssm_", "shortconv", "time_mix")
# Only Ollama's conversions have tensors of a projector or of a draft model in a model's file. They
# also have three rope sections where others have four.
_OF_OTHERS = ("v.", "mm.", "mtp.")
_OLD_SECTIONS = 3
_THINKING = re.compile(r"</?think(?:ing)?>|enable_thinking|reasoning_content|<\|channel\|>")
_TOOLS = re.compile(r"\btools\b|\btool_calls?\b")
# The marks of a gap that the model fills, under their names of today and of before.
_GAPS = ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id")
_MOST_LAYERS = 1 << 14
# No honest number of a model is larger, and products of two fit 64 bits.
_LARGEST = 1 << 31


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file tells. Numbers that it does not tell are 0, texts "".

    ``size`` is that of the file in bytes, ``missing`` are the bytes that it lacks if it is cut.
    Numbers that differ by layer are tuples with one entry for each layer; ``bytes_by_layer`` and
    ``experts_by_layer`` are the weights of the file, ``outside`` those of no layer, ``embedding``
    the part of them that only looks tokens up if there is an ``output`` of its own. With
    ``own_conversion`` the file was made for one program and may not load in others.
    """

    size: int
    missing: int = 0
    kind: str = MODEL
    architecture: str = ""
    name: str = ""
    basename: str = ""
    finetune: str = ""
    size_label: str = ""
    licence: str = ""
    repository: str = ""
    quantisation: str = ""
    parameters: int = 0
    # The model.
    context_length: int = 0
    original_context: int = 0
    long_factors: bool = False
    layers: int = 0
    draft_layers: int = 0
    width: int = 0
    feed_forward: int = 0
    vocabulary: int = 0
    heads: tuple[int, ...] = ()
    kv_heads: tuple[int, ...] = ()
    key_length: int = 0
    value_length: int = 0
    key_length_sliding: int = 0
    value_length_sliding: int = 0
    compressed_keys: bool = False
    window: int = 0
    window_period: int = 0
    window_layers: tuple[bool, ...] = ()
    shared_layers: int = 0
    experts: int = 0
    experts_used: int = 0
    expert_width: int = 0
    inner: int = 0
    attention: tuple[int, ...] = ()
    recurrent: tuple[int, ...] = ()
    state_numbers: int = 0
    causal: bool = True
    # What it is for.
    pooling: int = -1
    chats: bool = False
    tools: bool = False
    thinking: bool = False
    fills_gaps: bool = False
    vision: bool = False
    audio: bool = False
    projection: int = 0
    # Its weights.
    shard: int = 0
    shards: int = 1
    tensors: int = 0
    bytes_by_layer: tuple[int, ...] = ()
    experts_by_layer: tuple[int, ...] = ()
    outside: int = 0
    embedding: int = 0
    embedding_type: str = ""
    output: bool = False
    unknown_types: bool = False
    own_conversion: bool = False

    @property
    def weights(self) -> int:
        """The bytes of all tensors."""
        return self.outside + sum(self.bytes_by_layer)

    @property
    def tied(self) -> bool:
        """Whether the last layer uses the weights that look tokens up."""
        return self.embedding > 0 and not self.output

    @property
    def embeds(self) -> bool:
        """Whether the model turns texts into vectors."""
        return self.pooling in _EMBEDS

    @property
    def ranks(self) -> bool:
        """Whether the model ranks texts."""
        return self.pooling == _RANKS

    @property
    def hybrid(self) -> bool:
        """Whether some layers have a recurrent state and some attend to all tokens."""
        return bool(self.recurrent and self.attention)


def facts_of(head: Head) -> FileFacts:
    """Return what the head tells. A key of a wrong type counts as one that is not there."""
    keys = _Keys(head.keys)
    template = keys.text("tokenizer.chat_template")
    templates = keys.texts("tokenizer.chat_templates")
    pooling: object = keys.own.get("pooling_type")
    sliding = keys.own.get("attention.sliding_window_pattern")
    by_layer = tuple(map(bool, sliding)) if isinstance(sliding, list) else ()
    facts = FileFacts(
        size=head.size,
        missing=head.missing,
        kind=_kind(keys),
        architecture=keys.architecture,
        name=keys.text("general.name"),
        basename=keys.text("general.basename"),
        finetune=keys.text("general.finetune"),
        size_label=keys.text("general.size_label"),
        licence=keys.text("general.license"),
        repository=keys.text("general.repo_url") or keys.text("general.source.repo_url"),
        context_length=keys.number("context_length"),
        original_context=keys.number("rope.scaling.original_context_length"),
        layers=keys.number("block_count"),
        draft_layers=keys.number("nextn_predict_layers"),
        width=keys.number("embedding_length"),
        feed_forward=max(keys.numbers("feed_forward_length"), default=0),
        heads=keys.numbers("attention.head_count"),
        kv_heads=keys.numbers("attention.head_count_kv") or keys.numbers("attention.head_count"),
        key_length=keys.number("attention.key_length"),
        value_length=keys.number("attention.value_length"),
        key_length_sliding=keys.number("attention.key_length_swa"),
        value_length_sliding=keys.number("attention.value_length_swa"),
        compressed_keys=keys.number("attention.key_length_mla") > 0,
        window=keys.number("attention.sliding_window"),
        window_period=keys.number("attention.sliding_window_pattern"),
        window_layers=by_layer,
        shared_layers=keys.number("attention.shared_kv_layers"),
        experts=keys.number("expert_count"),
        experts_used=keys.number("expert_used_count"),
        expert_width=keys.number("expert_feed_forward_length"),
        inner=keys.number("ssm.inner_size"),
        state_numbers=min(_state_numbers(keys), _LARGEST),
        causal=keys.own.get("attention.causal") is not False,
        pooling=pooling if type(pooling) is int and 0 <= pooling <= _RANKS else -1,
        chats=bool(template or templates),
        tools="tool_use" in templates,
        fills_gaps=any(name in head.keys for name in _GAPS),
        vision=keys.flag("clip.has_vision_encoder"),
        audio=keys.flag("clip.has_audio_encoder"),
        projection=max(map(keys.whole, ("clip.vision.projection_dim", "clip.projection_dim"))),
        shard=keys.whole("split.no"),
        shards=max(1, keys.whole("split.count")),
    )
    facts = replace(facts, **_weights(head.tensors), quantisation=_quantisation(head))
    sections = keys.numbers("rope.dimension_sections")
    own = facts.own_conversion or len(sections) == _OLD_SECTIONS
    facts = replace(facts, own_conversion=own and facts.kind == MODEL)
    return facts if not template else with_chat_template(facts, template, facts.tools)


def with_chat_template(facts: FileFacts, template: str, tools: bool = False) -> FileFacts:
    """Return the facts of the model with this chat template; ``tools``: another one knows them."""
    return replace(
        facts,
        tools=tools or knows_tools(template),
        thinking=_THINKING.search(template) is not None,
    )


def knows_tools(template: str) -> bool:
    """Return whether a chat template prints the tools of a request."""
    return _TOOLS.search(template) is not None


def together(facts: Iterable[FileFacts]) -> FileFacts:
    """Return the facts of a model in several files; the first of them has its keys."""
    first, *others = sorted(facts, key=lambda each: each.shard)
    if not others:
        return first
    every = (first, *others)
    return replace(
        first,
        size=sum(each.size for each in every),
        missing=sum(each.missing for each in every),
        parameters=sum(each.parameters for each in every),
        tensors=sum(each.tensors for each in every),
        outside=sum(each.outside for each in every),
        embedding=sum(each.embedding for each in every),
        vocabulary=max(each.vocabulary for each in every),
        bytes_by_layer=_added(each.bytes_by_layer for each in every),
        experts_by_layer=_added(each.experts_by_layer for each in every),
        attention=tuple(sorted({layer for each in every for layer in each.attention})),
        recurrent=tuple(sorted({layer for each in every for layer in each.recurrent})),
        long_factors=any(each.long_factors for each in every),
        embedding_type="".join(each.embedding_type for each in every),
        output=any(each.output for each in every),
        unknown_types=any(each.unknown_types for each in every),
        own_conversion=any(each.own_conversion for each in every),
    )


def from_json(said: Mapping[str, Any]) -> FileFacts:
    """Return the facts that were written as JSON; raise TypeError for what are none.

    Facts that have their default value may be left out.
    """
    plain = FileFacts(0)
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
    for name, value in values.items():
        if type(value) is not type(getattr(plain, name, None)):
            raise TypeError(f"wrong type of {name}")
    return FileFacts(**values)


class _Keys:
    """The keys of a head; ``own`` are those of its architecture, without its name."""

    def __init__(self, said: Mapping[str, Value]) -> None:
        self._said = said
        self.architecture = self.text("general.architecture")
        begin = f"{self.architecture}."
        self.own = {k.removeprefix(begin): v for k, v in said.items() if k.startswith(begin)}

    def text(self, name: str) -> str:
        found = self._said.get(name)
        return found if isinstance(found, str) else ""

    def texts(self, name: str) -> list[str]:
        found = self._said.get(name)
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []

    def flag(self, name: str) -> bool:
        return self._said.get(name) is True

    def whole(self, name: str) -> int:
        return _whole(self._said.get(name))

    def number(self, name: str) -> int:
        """Return a number of the architecture; of several, the largest."""
        return max(self.numbers(name), default=0)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return the numbers of the architecture by layer; () if there are none."""
        found = self.own.get(name)
        if isinstance(found, list):
            return tuple(map(_whole, found))
        return (number,) if (number := _whole(found)) else ()


def _whole(found: object) -> int:
    """Return the value if it is a whole number that a model can have, else 0."""
    return found if type(found) is int and 0 <= found < _LARGEST else 0


def _kind(keys: _Keys) -> str:
    known = _KINDS.get(keys.text("general.type"))
    if keys.architecture in _PROJECTORS:
        return PROJECTOR
    if keys.architecture in _ADAPTERS:
        return ADAPTER
    if keys.architecture in _DRAFTS:
        return DRAFT
    return known or MODEL


def _state_numbers(keys: _Keys) -> int:
    """Return how many numbers one recurrent layer keeps for one sequence."""
    width, heads = keys.number("embedding_length"), keys.number("attention.head_count")
    kernel = max(0, keys.number("ssm.conv_kernel") - 1)
    if size := keys.number("wkv.head_size"):
        shifts = keys.number("token_shift_count") or 2
        return width * (shifts + size)
    if cached := keys.number("shortconv.l_cache"):
        return width * (cached - 1)
    if size := keys.number("kda.head_dim"):
        return 3 * (kernel or 3) * heads * size + size * size * heads
    inner, states = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    return kernel * (inner + 2 * keys.number("ssm.group_count") * states) + inner * states


def _weights(tensors: tuple[Tensor, ...]) -> dict[str, Any]:
    """Return the facts that the table of tensors tells."""
    by_layer: dict[int, int] = {}
    experts: dict[int, int] = {}
    attention, recurrent, mixed = set(), set(), set()
    outside = embedding = parameters = vocabulary = 0
    kind = ""
    long_factors = unknown = foreign = last = False
    for tensor in tensors:
        size = tensor.size
        parameters += tensor.elements
        unknown |= not tensor.type.size
        long_factors |= "rope_factors_long" in tensor.name
        foreign |= tensor.name.startswith(_OF_OTHERS)
        found = _LAYER.match(tensor.name)
        if found is None or int(found[1]) >= _MOST_LAYERS:
            outside += size
            last |= tensor.name == "output.weight"
            if tensor.name == "token_embd.weight":
                embedding, vocabulary = size, tensor.shape[-1] if tensor.shape else 0
                kind = tensor.type.name
            continue
        layer, part = int(found[1]), found[2]
        by_layer[layer] = by_layer.get(layer, 0) + size
        if part.endswith("_exps"):
            experts[layer] = experts.get(layer, 0) + size
        if part in _KEYS_OF_ATTENTION:
            attention.add(layer)
        elif part == "attn_qkv":
            mixed.add(layer)
        elif part.startswith(_RECURRENT):
            recurrent.add(layer)
    # Recurrent layers may call a projection of theirs so, too.
    attention |= mixed - recurrent
    return {
        "parameters": parameters,
        "tensors": len(tensors),
        "outside": outside,
        "embedding": embedding,
        "embedding_type": kind,
        "output": last,
        "vocabulary": vocabulary,
        "bytes_by_layer": _row(by_layer),
        "experts_by_layer": _row(experts),
        "attention": tuple(sorted(attention)),
        "recurrent": tuple(sorted(recurrent)),
        "long_factors": long_factors,
        "unknown_types": unknown,
        "own_conversion": foreign,
    }


def _quantisation(head: Head) -> str:
    """Return the name that the file gives, else the type of most of its bytes."""
    said = head.keys.get("general.file_type")
    if type(said) is int and (name := _FILE_TYPES.get(said, "-")) != "-":
        return name
    by_type: dict[str, int] = {}
    for tensor in head.tensors:
        name = tensor.type.name
        by_type[name] = by_type.get(name, 0) + tensor.size
    return max(by_type, key=lambda name: by_type[name], default="")


def _row(by_layer: Mapping[int, int]) -> tuple[int, ...]:
    return tuple(by_layer.get(layer, 0) for layer in range(max(by_layer, default=-1) + 1))


def _added(rows: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    total: dict[int, int] = {}
    for row in rows:
        for layer, size in enumerate(row):
            total[layer] = total.get(layer, 0) + size
    return _row(total)
