"""Write the models of the machine and their plans, as text for a terminal and as JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.admin.show import size_text, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.discovery.inventory import Entry, Inventory
    from models.downloads.verify import Verdict
    from models.planning import MachineMemory, Plan, PlannedVariant


def models_text(found: Inventory) -> str:
    """Return a table of the models, then what is wrong with stores and aliases."""
    lines = [table("NAME SIZE QUANTISATION CONTEXT STORE NOTE", map(_row, found.entries))]
    if not found.entries:
        lines = ["no models were found\n"]
    lines += [f"{path}: {problem}\n" for path, problem in found.problems.items()]
    lines += [
        f"the alias {alias} could mean {' or '.join(names)}, so it means none\n"
        for alias, names in found.ambiguous.items()
    ]
    return "".join(lines)


def models_json(found: Inventory) -> dict[str, Any]:
    """Return the same as plain JSON values."""
    return {
        "models": [entry_json(entry) for entry in found.entries],
        "ambiguous": {alias: list(names) for alias, names in found.ambiguous.items()},
        "problems": dict(found.problems),
    }


def news_text(before: Sequence[Entry], after: Sequence[Entry]) -> str:
    """Return which models are new, and which are gone; a line if none is."""
    old, new = ({entry.name for entry in entries} for entries in (before, after))
    lines = [f"{name}: new\n" for name in sorted(new - old)]
    lines += [f"{name}: gone\n" for name in sorted(old - new)]
    return "".join(lines) or "nothing has changed\n"


def plan_text(entry: Entry, made: Plan, machine: MachineMemory) -> str:
    """Return the plan for the model: its variants, and the contexts that do not fit."""
    gpus = "".join(f", GPU {size_text(gpu)}" for gpu in machine.gpus)
    head = f"{_title(entry)}\nmemory: {size_text(machine.ram)}{gpus}\n\n"
    rows = [_planned(each) for each in made.variants]
    rows += [(*_planned(each)[:3], "", "", "", f"left out: {each.why}") for each in made.left_out]
    names = "CONTEXT MEMORY CACHE GPU RAM LAYERS-IN-RAM WHY"
    unknown = entry.facts is not None and entry.facts.unknown_types
    more = "some weights are of a type that is not known here: it takes more\n" if unknown else ""
    return head + table(names, rows) + more


def plan_json(entry: Entry, made: Plan, machine: MachineMemory) -> dict[str, Any]:
    """Return the same as plain JSON values, all sizes in bytes."""
    return {
        "model": entry_json(entry),
        "ram": machine.ram,
        "gpus": list(machine.gpus),
        "fits": made.fits,
        "variants": [_numbers(each) for each in made.variants],
        "left_out": [_numbers(each) for each in made.left_out],
    }


def verdicts_text(checked: Sequence[tuple[str, Verdict]]) -> str:
    """Return a table of the files with what is wrong with them, by the models' names."""
    return table("MODEL RESULT FILE", [(name, _result(each), each.path) for name, each in checked])


def _result(verdict: Verdict) -> str:
    if verdict.problem:
        return verdict.problem
    return "right" if verdict.digest else "whole; its content is not known"


def _title(entry: Entry) -> str:
    facts = entry.facts
    told = [] if facts is None else [facts.architecture, facts.size_label]
    parts = [*filter(None, told), entry.quantisation, size_text(entry.size)]
    if facts is not None and facts.context_length:
        parts.append(f"up to {facts.context_length} tokens")
    return f"{entry.name}: {', '.join(filter(None, parts))}"


def _row(entry: Entry) -> Sequence[str]:
    context = 0 if entry.facts is None else entry.facts.context_length
    notes = [entry.problem, "may not load: made for Ollama" if entry.doubtful else ""]
    notes.append("imported" if entry.state == "manual" else "")
    return (
        entry.name,
        size_text(entry.size),
        entry.quantisation,
        str(context or ""),
        entry.store,
        ", ".join(filter(None, notes)),
    )


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return a model of this machine as plain JSON values."""
    facts = entry.facts
    told: Mapping[str, Any] = {}
    if facts is not None:
        told = {
            "architecture": facts.architecture,
            "parameters": facts.parameters,
            "context_length": facts.context_length,
            "layers": facts.layers,
            "licence": facts.licence,
            "tools": facts.tools,
            "thinking": facts.thinking,
            "embeddings": facts.embeds,
            "rerank": facts.ranks,
        }
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "path": entry.path,
        "files": list(entry.files),
        "size": entry.size,
        "quantisation": entry.quantisation,
        "store": entry.store,
        "repository": entry.repo,
        "projector": entry.projector,
        "state": entry.state,
        "ready": entry.ready,
        "problem": entry.problem,
        "doubtful": entry.doubtful,
        **told,
    }


def _planned(each: PlannedVariant) -> Sequence[str]:
    return (
        str(each.context),
        size_text(each.memory.total),
        size_text(each.memory.context),
        size_text(each.gpu) if each.gpu else "",
        size_text(each.ram) if each.gpu else "",
        str(each.layers_in_ram) if each.gpu else "",
        each.why,
    )


def _numbers(each: PlannedVariant) -> dict[str, Any]:
    return {
        "context": each.context,
        "memory": each.memory.total,
        "weights": each.memory.weights,
        "cache": each.memory.context,
        "compute": each.memory.compute,
        "gpu": each.gpu,
        "ram": each.ram,
        "layers_in_ram": each.layers_in_ram,
        "why": each.why,
    }
