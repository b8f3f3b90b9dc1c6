"""Measure the gateway and print tables: what it adds to a request, and what its queue saves.

    ./bench/run.sh                              every part, in about ten minutes
    ./bench/run.sh --parts core                 one part: core, frame, real, carry,
                                                warm, trace, path, routing, speech, accounts,
                                                discovery, download or pages
    ./bench/run.sh --quick                      a smoke test; its figures mean nothing
    ./bench/run.sh --write bench/RESULTS.md     also write the results there; parts that were not
                                                measured keep their old results

With LLAMA_SERVER=/path/to/llama-server this engine is measured too.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench import (
    accounts,
    alternation,
    carry,
    core,
    discovery,
    download,
    frame,
    pages,
    path,
    replay,
    routing,
    speech,
    warm,
)
from bench.report import as_markdown, as_text, machine, merged

PARTS = {
    "core": core,
    "frame": frame,
    "real": alternation,
    "carry": carry,
    "warm": warm,
    "trace": replay,
    "path": path,
    "routing": routing,
    "speech": speech,
    "accounts": accounts,
    "discovery": discovery,
    "download": download,
    "pages": pages,
}


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
        "--only", nargs="+", choices=core.TARGETS, default=core.TARGETS, help="core: its targets"
    )
    args = parser.parse_args(argv)
    sections = {}
    for name in args.parts:
        with tempfile.TemporaryDirectory() as folder:
            if name == "core":
                found = core.run(Path(folder), quick=args.quick, rounds=args.rounds, only=args.only)
            else:
                found = PARTS[name].run(Path(folder), quick=args.quick)
            if args.write is not None:
                for picture in Path(folder).glob("*.svg"):
                    shutil.copy(picture, args.write.parent)
        rows, notes = found
        print(f"{PARTS[name].HEADING}\n\n{as_text(rows)}\n", flush=True)
        sections[PARTS[name].HEADING] = f"Machine: {machine()}\n\n{as_markdown(rows)}\n{notes}"
    print(machine())
    if args.write is not None:
        before = args.write.read_text(encoding="utf-8") if args.write.exists() else ""
        args.write.write_text(merged(before, sections), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
