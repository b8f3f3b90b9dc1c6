"""The configuration of a model that was found on the machine. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.discovery.inventory import Entry
    from models.planning import Plan


def found_table(entry: Entry, made: Plan, binary: str) -> dict[str, Any]:
    """Return the table of the model, as a configuration would have it: a variant for each context.

    Where its layers go is left to llama-server, so nothing is said of them.
    """
    return {
        "name": entry.name,
        "found": True,
        "aliases": list(entry.aliases),
        "variants": [
            {"binary": binary, "context": each.context, "args": _arguments(entry, each.context)}
            for each in made.variants
        ],
    }


def _arguments(entry: Entry, context: int) -> list[str]:
    words = ["-m", entry.path, "-c", str(context), "-np", "1"]
    if entry.projector:
        words += ["--mmproj", entry.projector]
    facts = entry.facts
    if facts is None:
        return words
    if facts.ranks:
        words.append("--reranking")
    elif facts.embeds:
        words.append("--embeddings")
    if not facts.causal:
        # An encoder reads a text in one batch.
        words += ["-b", str(context), "-ub", str(context)]
    return words
