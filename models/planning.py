"""Plan the variants of a model from the machine's memory. Pure.

1. Contexts to choose from are 8192, 32768, 131072 and the limit of the model.
2. A context that does not fit is left out: GPUs and ``_SHARE`` of main memory hold the engine.
3. With GPUs: if the largest context fits them whole, it is the only variant. Else a context is
   kept if the next larger one moves more of the model out of the GPUs than ``_STEP`` of it.
4. Without, or if they are too small to help: the largest context in ``_EASY`` of main memory, or
   else the smallest one. A small context is added if it saves more than ``_WORTH_IT``.
5. Contexts that the user has chosen are all kept.

The engine itself decides which layers go where. What is said here of it is an estimate: layers go
to main memory one by one, of a mixture of experts only the experts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from models.estimate import BATCH, Estimate, Setup, copied, estimate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.model_file import FileFacts

GIB = 1 << 30
# What the engine leaves free on each GPU.
MARGIN = GIB
CONTEXTS = (8192, 32768, 131072)
MOST = 4
# A model that does not tell its limit.
_UNKNOWN_LIMIT = 4096
_SHARE, _EASY, _STEP = 0.8, 0.5, 0.1
_WORTH_IT = GIB
_SMALL = CONTEXTS[0]


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """Bytes of main memory and of each GPU. With ``unified`` memory a GPU uses main memory."""

    ram: int
    gpus: tuple[int, ...] = ()
    unified: bool = False

    @property
    def on_gpus(self) -> int:
        """What engines may use of all GPUs."""
        return sum(max(0, gpu - MARGIN) for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """A context, and where its engine's memory goes, in bytes.

    ``layers_in_ram`` are layers that are not whole on a GPU; ``moved`` is what of the model that
    takes out of the GPUs. ``why`` is for a person.
    """

    context: int
    memory: Estimate
    gpu: int
    ram: int
    layers_in_ram: int
    moved: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The variants in the order of their contexts, and the contexts that do not fit.

    Without variants the model is too large for the machine.
    """

    variants: tuple[PlannedVariant, ...]
    left_out: tuple[PlannedVariant, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the model can run on the machine."""
        return bool(self.variants)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user has chosen: contexts, and options that change how much memory they take.

    ``beside`` is the size in bytes of what is loaded beside the model, such as its projector.
    Without ``contexts`` the plan chooses them, without ``batch`` the engine has its own. Each of
    ``slots`` has a whole context. ``values`` is the type of the cached values, if it is another one
    than that of the keys.
    """

    contexts: tuple[int, ...] = ()
    cache_type: str = "f16"
    batch: int = 0
    flash_attention: bool = True
    beside: int = 0
    slots: int = 1
    values: str = field(default="", kw_only=True)


def plan(facts: FileFacts, machine: MachineMemory, wishes: Wishes | None = None) -> Plan:
    """Return the variants for the model.

    All variants have one type of cache, so that saved prompts fit every one of them. Raises
    ValueError if the model's heads do not fit it.
    """
    wishes = wishes or Wishes()
    contexts = sorted(wishes.contexts) or _contexts(facts)
    choices = [_placed(facts, machine, context, wishes) for context in contexts]
    if wishes.contexts:
        return Plan(tuple(_chosen(each, machine) for each in choices))
    fitting = [each for each in choices if each.gpu + each.ram <= _room(machine, each)]
    left_out = tuple(replace(each, why=_too_large(machine)) for each in choices[len(fitting) :])
    if not fitting:
        return Plan((), left_out)
    helps = any(each.gpu for each in fitting)
    kept = _for_gpus(fitting, facts) if helps else _for_ram(fitting, machine)
    return Plan(tuple(kept), left_out)


def _contexts(facts: FileFacts) -> list[int]:
    limit = facts.context_length or _UNKNOWN_LIMIT
    # Without keys and values a context costs nothing; an encoder reads a text at once.
    if facts.embeds or facts.ranks or not facts.causal or not facts.attention:
        return [limit]
    return [*(context for context in CONTEXTS if context < limit), limit]


def _chosen(placed: PlannedVariant, machine: MachineMemory) -> PlannedVariant:
    fits = placed.gpu + placed.ram <= _room(machine, placed)
    return replace(placed, why="as configured" if fits else f"as configured; {_too_large(machine)}")


def _placed(
    facts: FileFacts, machine: MachineMemory, context: int, wishes: Wishes
) -> PlannedVariant:
    """Return where the memory of an engine with this context goes."""
    # An encoder computes all tokens of a text in one batch.
    batch = wishes.batch or (BATCH if facts.causal else context)
    kind = wishes.cache_type
    setup = Setup(
        context * wishes.slots,
        wishes.slots,
        keys=kind,
        values=wishes.values or kind,
        batch=batch,
        flash_attention=wishes.flash_attention,
    )
    memory = estimate(facts, setup)
    whole = memory.total + wishes.beside
    if machine.unified:
        return PlannedVariant(context, memory, whole, 0, 0, 0)
    # Tokens are looked up in main memory; a last layer that uses these weights has its own copy.
    on_gpu = whole - (facts.embedding if copied(facts) or not facts.tied else 0)
    over = on_gpu - machine.on_gpus
    moved, layers = 0, set()
    for layer, size in _movable(facts, memory):
        if moved >= over:
            break
        moved += size
        layers.add(layer)
    if moved < over:
        # Not even its buffers fit, or there is no GPU.
        return PlannedVariant(context, memory, 0, whole, facts.layers, on_gpu)
    in_ram = facts.embedding + moved
    return PlannedVariant(context, memory, on_gpu - moved, in_ram, len(layers), moved)


def _movable(facts: FileFacts, memory: Estimate) -> Iterator[tuple[int, int]]:
    """Yield layers and the bytes that leave the GPU with them: first only their experts."""
    experts = dict(enumerate(facts.experts_by_layer))
    yield from ((layer, size) for layer, size in experts.items() if size)
    weights = dict(enumerate(facts.bytes_by_layer))
    for layer, cache in enumerate(memory.cache):
        yield layer, weights.get(layer, 0) - experts.get(layer, 0) + cache


def _room(machine: MachineMemory, placed: PlannedVariant) -> int:
    if machine.unified:
        return machine.on_gpus
    # Memory of a GPU is no use for what does not fit it.
    return min(placed.gpu, machine.on_gpus) + int(machine.ram * _SHARE)


def _for_gpus(fitting: list[PlannedVariant], facts: FileFacts) -> list[PlannedVariant]:
    largest = fitting[-1]
    if not largest.layers_in_ram:
        return [replace(largest, why="the largest context fits the GPU")]
    kept = [replace(largest, why="the largest context that fits")]
    for each in reversed(fitting[:-1]):
        if kept[0].moved - each.moved > _STEP * facts.weights and len(kept) < MOST:
            gained = kept[0].layers_in_ram - each.layers_in_ram
            why = f"{gained} more layers on the GPU" if each.layers_in_ram else "fits the GPU"
            kept.insert(0, replace(each, why=why))
    return kept


def _for_ram(fitting: list[PlannedVariant], machine: MachineMemory) -> list[PlannedVariant]:
    easy = [each for each in fitting if each.ram <= machine.ram * _EASY]
    if not easy:
        return [replace(fitting[0], why="the smallest context; it takes most of the memory")]
    largest = replace(easy[-1], why="the largest context in half of the memory")
    small = easy[0]
    saved = largest.memory.context - small.memory.context
    if small.context == _SMALL and saved > _WORTH_IT:
        return [replace(small, why=f"saves {saved / GIB:.1f} GiB"), largest]
    return [largest]


def _too_large(machine: MachineMemory) -> str:
    if machine.unified or not machine.gpus:
        return "does not fit the memory"
    return "does not fit GPU and main memory"
