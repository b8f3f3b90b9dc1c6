"""Write results: numbers, tables, and the file with the sections of all parts."""

from __future__ import annotations

import math
import os
import platform
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import psutil

from bench import targets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TITLE = """# What the gateway costs, and what it saves

Written by `./bench/run.sh --write bench/RESULTS.md`. Load generator, gateway and engines share
the machine's cores, so absolute figures mean little elsewhere.
"""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that is at least as large as this *share* of all values."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def say(what: str) -> None:
    """Print progress on stderr, apart from the results."""
    print(what, file=sys.stderr, flush=True)


def number(value: float) -> str:
    """Return the number with three significant digits."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def as_text(rows: list[list[str]]) -> str:
    """Return the rows as aligned columns, with numbers at the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i > 0 and rows[0][i] != "aim" else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(rows: list[list[str]]) -> str:
    """Return the rows as a Markdown table."""
    rule = ["---"] + ["---:"] * (len(rows[0]) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def machine() -> str:
    """Return the machine and the versions of the measurement, without the machine's name."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "orjson"))
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{targets.cpu_model()}, {os.cpu_count()} cores, {memory:.0f} GB; {platform.system()} "
        f"{platform.machine()}; {platform.python_implementation()} {platform.python_version()}; "
        f"{packages}"
    )


def merged(old: str, sections: Mapping[str, str]) -> str:
    """Return the text of the results: the old text with these sections replaced.

    ``sections`` maps each heading to the text below it, which names the machine.
    """
    found = {}
    for part in old.split("\n## ")[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = text.strip("\n")
    found |= {heading: text.strip("\n") for heading, text in sections.items()}
    return "\n".join([TITLE, *(f"## {name}\n\n{text}\n" for name, text in found.items())])
