"""Measure the gateway and print tables: what it adds to a request, and what its queue saves.

    ./bench/run.sh                              every part, in about ten minutes
    ./bench/run.sh --parts core                 one part: core, frame, real, carry,
                                                warm, trace, path, routing, speech, accounts,
                                                discovery, download, pages or voice
    ./bench/run.sh --quick                      a smoke test; its figures mean nothing
    ./bench/run.sh --write bench/RESULTS.md     also write the results there; parts that were not
                                                measured keep their old results

With LLAMA_SERVER=/path/to/llama-server this engine is measured too. BENCH_MODEL names the file of
another model for the parts with real engines than the bundled one.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import TARGETS
from bench.report import as_markdown, as_text, machine, merged

if TYPE_CHECKING:
    from types import ModuleType

# Each part, and the module that measures it. Only the modules of those asked for are imported.
PARTS = {
    "core": "core",
    "frame": "frame",
    "real": "alternation",
    "carry": "carry",
    "warm": "warm",
    "trace": "replay",
    "path": "path",
    "routing": "routing",
    "speech": "speech",
    "accounts": "accounts",
    "discovery": "discovery",
    "download": "download",
    "pages": "pages",
    "voice": "voice",
}


def part(name: str) -> ModuleType:
    """Return the module that measures this part."""
    return importlib.import_module(f"bench.{PARTS[name]}")


def main(argv: list[str] | None = None) -> int:
    """Print the tables that the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="minimal counts: only whether it runs")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, help="core: how often everything is measured")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the results there")
    parser.add_argument(
        "--only", nargs="+", choices=TARGETS, default=TARGETS, help="core: its targets"
    )
    args = parser.parse_args(argv)
    sections = {}
    for name in args.parts:
        module = part(name)
        more = {"rounds": args.rounds, "only": args.only} if name == "core" else {}
        with tempfile.TemporaryDirectory() as folder:
            rows, notes = module.run(Path(folder), quick=args.quick, **more)
            if args.write is not None:
                for picture in Path(folder).glob("*.svg"):
                    shutil.copy(picture, args.write.parent)
        print(f"{module.HEADING}\n\n{as_text(rows)}\n", flush=True)
        sections[module.HEADING] = f"Machine: {machine()}\n\n{as_markdown(rows)}\n{notes}"
    print(machine())
    if args.write is not None:
        before = args.write.read_text(encoding="utf-8") if args.write.exists() else ""
        args.write.write_text(merged(before, sections), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
