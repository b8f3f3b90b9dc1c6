"""The variants of a model by its file, from a plan and the options of the configuration. Pure.

Where the layers go is left to llama-server if it fits itself to the memory (``--fit``): then the
context is given and the number of layers on the GPU is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.llamacpp.arguments import CONTEXT, GPU_LAYERS, SLOTS, Arguments
from engine.llamacpp.needs import by_resource
from models.planning import MachineMemory, Wishes, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.discovery.inventory import Entry
    from models.model_file import FileFacts
    from models.planning import Plan, PlannedVariant
    from utils.config.local_models import LaunchOptions

# More layers than any model has: all of them. Every release of llama-server knows the number.
_ALL_LAYERS = "999"


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes the tables of models for a machine.

    ``binary`` is the llama-server without another one in the options. If it ``fits``, it divides
    the layers of a model between GPU and main memory itself.
    """

    machine: MachineMemory
    binary: str
    fits: bool = True

    def table(
        self, entry: Entry, options: LaunchOptions, draft: str | None = None, beside: int = 0
    ) -> dict[str, Any] | str:
        """Return the names and the variants of the model, or the reason why it has none.

        ``beside`` is the size in bytes of its projector and of its ``draft`` model.
        """
        if entry.facts is None:
            return entry.problem or "its head cannot be read"
        program, *own = options.command or (options.binary or self.binary,)
        try:
            made = self.plan(entry.facts, options, beside)
        except ValueError as error:
            return str(error)
        if not made.fits:
            return "it does not fit the memory"
        words = [*own, *_arguments(entry, options, draft)]
        return {
            "name": entry.name,
            "aliases": list(entry.aliases),
            "size": entry.size,
            "quantisation": entry.quantisation,
            "variants": [
                {
                    "binary": program,
                    "context": each.context,
                    "args": [
                        *words,
                        *self._of_context(each, entry.facts, options, own),
                        *options.extra_args,
                    ],
                    "env": [{"name": n, "value": v} for n, v in options.env.items()],
                    "parallel": _slots(own, options.extra_args),
                    "estimated": self._needs(each, options, own),
                }
                for each in made.variants
            ],
        }

    def plan(self, facts: FileFacts, options: LaunchOptions, beside: int = 0) -> Plan:
        """Return the plan for the model. Raises ValueError for a cache that it cannot have."""
        machine = self.machine
        if options.gpu_layers == 0:
            machine = MachineMemory(machine.ram)
        return plan(facts, machine, wishes_of(options, beside))

    def _of_context(
        self,
        each: PlannedVariant,
        facts: FileFacts,
        options: LaunchOptions,
        own: Sequence[str],
    ) -> list[str]:
        """Return the arguments that differ by context, without those that the user has given."""
        said = Arguments([*own, *options.extra_args], {})
        words = []
        if not said.given(CONTEXT):
            slots = _slots(own, options.extra_args)
            words += ["-c", str(each.context * slots)]
        if not said.given(SLOTS):
            words += ["-np", "1"]
        if options.gpu_layers == "auto" and not self.fits and not said.given(GPU_LAYERS):
            words += _placement(each, facts, self.machine)
        if not facts.causal:
            # An encoder reads a text in one batch.
            batches = options.batch_size or each.context, options.ubatch_size or each.context
            words += ["-b", str(batches[0]), "-ub", str(batches[1])]
        return words

    def _needs(
        self, each: PlannedVariant, options: LaunchOptions, own: Sequence[str]
    ) -> Mapping[str, int]:
        """Return what an engine of the variant will take, by resource; empty if it is not known."""
        if options.gpu_layers not in {"auto", 0} or own:
            # The plan has the layers elsewhere than the user.
            return {}
        return by_resource(each, self.machine)


def wishes_of(options: LaunchOptions, beside: int = 0) -> Wishes:
    """Return what the options say of contexts and memory."""
    return Wishes(
        chosen_contexts(options),
        options.cache_type or "f16",
        options.ubatch_size or 0,
        options.flash_attention is not False,
        beside,
        _slots(options.command[1:], options.extra_args),
    )


def chosen_contexts(options: LaunchOptions) -> tuple[int, ...]:
    """Return the contexts that the user has chosen; () if they are to be planned."""
    if (own := Arguments(options.command, {}).slot_context()) is not None:
        return (own,)
    if options.context_size is not None:
        return (options.context_size,)
    return () if isinstance(options.contexts, str) else tuple(sorted(options.contexts))


def _slots(own: Sequence[str], extra: Sequence[str]) -> int:
    return max(1, Arguments([*own, *extra], {}).number(SLOTS) or 1)


def _arguments(entry: Entry, options: LaunchOptions, draft: str | None) -> list[str]:
    """Return the arguments that are the same for all contexts."""
    facts, flash = entry.facts, options.flash_attention
    said: dict[str, object] = {
        "-m": entry.path,
        "--mmproj": entry.projector or None,
        "-md": draft,
        "-ngl": {"auto": None, -1: _ALL_LAYERS}.get(options.gpu_layers, options.gpu_layers),
        "--n-cpu-moe": options.cpu_moe_layers,
        "-ctk": options.cache_type,
        "-ctv": options.cache_type,
        "-fa": None if flash is None else "on" if flash else "off",
        "-t": options.threads,
    }
    if facts is None or facts.causal:
        said |= {"-b": options.batch_size, "-ub": options.ubatch_size}
    words = [word for flag, each in said.items() if each is not None for word in (flag, str(each))]
    words += ["--mlock"] * options.mlock
    if facts is not None and facts.ranks:
        words.append("--reranking")
    elif facts is not None and facts.embeds:
        words.append("--embeddings")
    return words


def _placement(each: PlannedVariant, facts: FileFacts, machine: MachineMemory) -> list[str]:
    """Return the arguments that put the layers where the plan has them."""
    if not machine.gpus or not each.gpu:
        return []
    if not each.layers_in_ram:
        return ["-ngl", _ALL_LAYERS]
    if any(facts.experts_by_layer):
        return ["-ngl", _ALL_LAYERS, "--n-cpu-moe", str(each.layers_in_ram)]
    # The layer behind the last one is that of the answer.
    return ["-ngl", str(max(0, facts.layers + 1 - each.layers_in_ram))]
