"""The options of ``main.py models …``. They are read before anything else is imported."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from models.estimate import CACHE_TYPES

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = "KMGT"


def add_model_commands(commands: Any, config: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse's own class is private
    """Add ``models`` with its actions to ``commands``, with the options of ``config``."""
    models = commands.add_parser("models", help="find the models of this machine, and plan them")
    actions = models.add_subparsers(dest="action", metavar="ACTION", required=True)
    found = argparse.ArgumentParser(add_help=False)
    found.add_argument("--dir", metavar="DIR", action="append", default=[], help="look here, too")
    found.add_argument("--ollama", action="store_true", help="with -c: Ollama's models, too")
    found.add_argument("--json", action="store_true", help="print JSON")

    def add(name: str, what: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(
            name, parents=[config, found], help=what, description=what
        )
        return parser

    add("list", "show the models in the stores of other programs and in folders")
    add("scan", "the same, remember them, and show what is new or gone")
    add("import", "remember the models in a folder, also while their files are away").add_argument(
        "folder", type=Path
    )
    pulled = add("pull", "fetch a model from the hub into its cache, or continue to")
    pulled.add_argument("model", metavar="USER/REPO[:QUANT]")
    pulled.add_argument("--file", default="", help="this file of the repository")
    pulled.add_argument("--revision", default="", help="this branch or commit, not main")
    add("rm", "remove the files of a model that was fetched").add_argument("model", metavar="NAME")
    checked = add("verify", "read all files of a model, or of all, and compare their contents")
    checked.add_argument("model", metavar="NAME", nargs="?")
    planned = add("plan", "show in which contexts a model would be served, without starting it")
    planned.add_argument("model", metavar="FILE|NAME")
    planned.add_argument("--ram", type=_bytes, help="plan for so much main memory, as 64GiB")
    planned.add_argument(
        "--gpu", type=_bytes, action="append", help="and a GPU with so much; 0 for none"
    )
    planned.add_argument("--cache-type", choices=[*CACHE_TYPES])


def _bytes(text: str) -> int:
    """Return the bytes of a text such as 64GiB, 512M or 0."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 24GiB")
    power = _UNITS.index(found[2].upper()) + 1 if found[2] else 0
    return int(float(found[1]) * 1024**power)
