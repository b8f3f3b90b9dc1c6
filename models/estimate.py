"""Estimate the memory of an engine from the head of its model. Pure.

What an engine holds: the weights; keys and values of each token in its context; the states of
recurrent layers; a buffer to compute with. The rules are those of llama.cpp:

1. Keys and values: of each layer with attention, for each cell, by the type of the cache. A layer
   with a sliding window has cells for the window and one batch only. The context is rounded up.
2. A recurrent layer has one state for each slot, whatever the context.
3. A last layer that uses the weights of the first one has them twice, if processors want them in
   another order for it.
4. The buffer holds the mask of a batch, two bytes for each cell, and what one layer computes of it.
   The size of the latter was measured with models of many shapes: within 5 % of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from models.model_file import FileFacts

# Bytes for so many numbers of a cache.
CACHE_TYPES = {
    "f32": (4, 1),
    "f16": (2, 1),
    "bf16": (2, 1),
    "q8_0": (34, 32),
    "q5_1": (24, 32),
    "q5_0": (22, 32),
    "q4_1": (20, 32),
    "q4_0": (18, 32),
    "iq4_nl": (18, 32),
}
BATCH = 512
# Weights in these types are put into another order to compute with them.
_REORDERED = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"})
_CELLS = 256
_FLOAT, _MASK = 4, 2
# The rest of what a batch needs for each of its tokens: its number, its place, its slot.
_INPUTS = 8


class _Pattern(NamedTuple):
    """Every ``period``-th layer sees all tokens: the first of them, or else the last."""

    period: int
    first: bool = False
    window: int = 0


# The architectures whose window the engine uses. Their files may tell another pattern.
_PATTERNS = {
    "afmoe": _Pattern(4),
    "cohere2": _Pattern(4),
    "cohere2moe": _Pattern(4, first=True),
    "exaone-moe": _Pattern(4, window=128),
    "exaone4": _Pattern(4, window=4096),
    "gemma-embedding": _Pattern(6),
    "gemma2": _Pattern(2, window=4096),
    "gemma3": _Pattern(6),
    "gemma3n": _Pattern(5),
    "gpt-oss": _Pattern(2),
    "laguna": _Pattern(4, first=True),
    "llama4": _Pattern(4, window=8192),
    "mellum": _Pattern(4),
    "modern-bert": _Pattern(3, first=True),
    "muse-glimmer": _Pattern(4),
    "olmo2": _Pattern(4),
    "plamo3": _Pattern(8),
    "smallthinker": _Pattern(4, first=True, window=4096),
}
# Files of these tell a window that the engine does not use.
_NO_WINDOW = frozenset({"phi3", "phimoe"})
# Layers that keep keys and values of their own; the others use theirs.
_FIRST_WITH_KEYS = {"gemma3n": 20}


@dataclass(frozen=True, slots=True)
class Setup:
    """How an engine is started: the context of all ``slots`` together, and its cache.

    With ``unified`` the slots share the context, else each has its part of it.
    """

    context: int
    slots: int = 1
    unified: bool = False
    batch: int = BATCH
    keys: str = "f16"
    values: str = "f16"
    flash_attention: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an engine holds, in bytes. ``cache`` is keys, values and states by layer."""

    weights: int
    cache: tuple[int, ...]
    compute: int

    @property
    def context(self) -> int:
        """What grows with the context and the slots, without the buffer."""
        return sum(self.cache)

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.context + self.compute


def estimate(facts: FileFacts, setup: Setup) -> Estimate:
    """Return what an engine with this model holds.

    Raises ValueError for a type of cache that is not known, or that the model's heads do not fit.
    """
    sliding = sliding_layers(facts)
    streams = 1 if setup.unified else setup.slots
    every = _padded(-(-setup.context // streams))
    seen = window_of(facts) * setup.slots // streams + setup.batch
    short = _padded(min(every, seen))
    keeps, recurrent = _keeping_keys(facts), {*facts.recurrent}
    cache = []
    for layer in range(facts.layers):
        size = 0
        if layer in keeps:
            cells = streams * (short if sliding[layer] else every)
            size += cells * _bytes_of_cell(facts, setup, layer, sliding=sliding[layer])
        if layer in recurrent:
            size += facts.state_numbers * _FLOAT * setup.slots
        cache.append(size)
    masks = (*((every,) if keeps else ()), *((short,) if any(sliding) else ()))
    compute = _compute(facts, setup, masks) + facts.vocabulary * _FLOAT * setup.slots
    return Estimate(facts.weights + copied(facts), tuple(cache), compute)


def copied(facts: FileFacts) -> int:
    """Return the bytes of the weights that are held twice in main memory, by rule 3."""
    return facts.embedding if facts.tied and facts.embedding_type in _REORDERED else 0


def window_of(facts: FileFacts) -> int:
    """Return how many tokens the layers with a sliding window see; 0 if there are none."""
    pattern = _PATTERNS.get(facts.architecture)
    return facts.window or (0 if pattern is None else pattern.window)


def sliding_layers(facts: FileFacts) -> tuple[bool, ...]:
    """Return for each layer whether it has a sliding window."""
    none = (False,) * facts.layers
    if facts.architecture in _NO_WINDOW or not window_of(facts):
        return none
    if facts.window_layers:
        return (*facts.window_layers, *none)[: facts.layers]
    pattern = _PATTERNS.get(facts.architecture)
    if pattern is None:
        return none
    period = facts.window_period or pattern.period
    full = 0 if pattern.first else period - 1
    return tuple(layer % period != full for layer in range(facts.layers))


def _padded(cells: int) -> int:
    return -(-cells // _CELLS) * _CELLS


def _keeping_keys(facts: FileFacts) -> frozenset[int]:
    """Return the layers that keep keys and values; none in models that do not write."""
    if not facts.causal:
        return frozenset()
    shared = facts.layers - facts.shared_layers
    last = min(_FIRST_WITH_KEYS.get(facts.architecture, shared), shared)
    # The layers for drafts come last, and have their own context.
    last = min(last, facts.layers - facts.draft_layers)
    return frozenset(layer for layer in facts.attention if layer < last)


def _bytes_of_cell(facts: FileFacts, setup: Setup, layer: int, *, sliding: bool) -> int:
    heads = _at(facts.heads, layer)
    kv_heads = _at(facts.kv_heads, layer)
    head = facts.width // heads if heads else 0
    keys, values = facts.key_length or head, facts.value_length or head
    if sliding:
        keys = facts.key_length_sliding or keys
        values = facts.value_length_sliding or values
    # Compressed keys hold the values, too.
    values = 0 if facts.compressed_keys else values
    return _row(setup.keys, kv_heads, keys) + _row(setup.values, kv_heads, values)


def _row(kind: str, heads: int, length: int) -> int:
    if kind not in CACHE_TYPES:
        raise ValueError(f"the cache type {kind} is not known; {', '.join(CACHE_TYPES)} are")
    size, block = CACHE_TYPES[kind]
    if length % block:
        raise ValueError(f"the cache type {kind} needs heads of {block} numbers, not of {length}")
    return heads * length * size // block


def _at(numbers: tuple[int, ...], layer: int) -> int:
    """Return the number of the layer; one number alone is that of every layer."""
    if not numbers:
        return 0
    return numbers[layer] if layer < len(numbers) else numbers[-1]


def _compute(facts: FileFacts, setup: Setup, masks: tuple[int, ...]) -> int:
    """Return the size of the buffer for one batch; ``masks`` are the cells of each mask."""
    heads = max(facts.heads, default=0)
    queries = heads * (facts.key_length or (facts.width // heads if heads else 0))
    wide = 3 * facts.feed_forward
    if facts.experts_used:
        inside = facts.experts_used * (facts.expert_width or facts.feed_forward)
        results = facts.experts_used * facts.width
        # Results take the room of what they are made of, if it suffices.
        wide = 3 * inside + (results if results > 2 * inside else 0)
    numbers = 5 * facts.width + max(wide, 2 * queries, 5 * facts.inner) + _INPUTS
    if setup.flash_attention or not masks:
        return setup.batch * (_MASK * sum(masks) + _FLOAT * numbers)
    # The weights of all heads are computed at once, and masks have full precision.
    cells = heads * max(masks) + sum(masks)
    return setup.batch * (_FLOAT * cells + _FLOAT * numbers // 2)
