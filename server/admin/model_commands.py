"""``main.py models list | scan | import | plan``: the models of this machine, without a gateway."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.resources.machine import machine_memory
from models.discovery.inventory import MANUAL, Entry, Inventory, Taken
from models.discovery.scan import scan, stores_here
from models.discovery.state import load_entries, save_entries
from models.discovery.stores import FOLDER, OLLAMA, USUAL, Store
from models.head_cache import HeadCache
from models.planning import plan
from server.admin.outcome import CommandError, carried_out
from server.admin.show_models import models_json, models_text, news_text, plan_json, plan_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def run_model_command(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> int:
    """Carry out the action in ``args`` and return the exit status.

    ``folder`` is the state folder. ``taken`` is what a configuration already names.
    """

    def work() -> int:
        text, said = _ACTIONS[args.action](args, folder, taken)
        sys.stdout.write(json.dumps(said, indent=2) + "\n" if args.json else text)
        return 0

    return carried_out(work)


_Answer = tuple[str, dict[str, Any]]


def _list(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> _Answer:
    found = _found(args, folder, taken)
    return models_text(found), models_json(found)


def _scan(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> _Answer:
    before = load_entries(folder)
    found = _found(args, folder, taken)
    save_entries(folder, found.entries)
    return f"{models_text(found)}\n{news_text(before, found.entries)}", models_json(found)


def _import(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> _Answer:
    if not args.folder.is_dir():
        raise CommandError(f"{args.folder} is not a folder")
    before = load_entries(folder)
    store = Store(FOLDER, str(args.folder.absolute()))
    there = scan([store], HeadCache(folder), before=before, taken=taken())
    imported = {e.path: replace(e, state=MANUAL) for e in there.entries if e.root == store.path}
    kept = [entry for entry in before if entry.path not in imported]
    save_entries(folder, (*kept, *imported.values()))
    found = replace(there, entries=tuple(imported.values()))
    return models_text(found), models_json(found)


def _plan(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> _Answer:
    entry = _entry(args, folder, taken)
    if entry.facts is None or not entry.ready:
        raise CommandError(f"{entry.name}: {entry.problem or 'its head cannot be read'}")
    gpus = None if args.gpu is None else tuple(gpu for gpu in args.gpu if gpu)
    machine = machine_memory(args.ram, gpus)
    projector = Path(entry.projector).stat().st_size if entry.projector else 0
    try:
        made = plan(entry.facts, machine, projector=projector, cache_type=args.cache_type)
    except ValueError as error:
        raise CommandError(str(error)) from None
    return plan_text(entry, made, machine), plan_json(entry, made, machine)


def _entry(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> Entry:
    """Return the entry of a file, else of a name or an alias."""
    path = Path(args.model).expanduser()
    if path.exists():
        # The folder of the file may have its other parts and its projector.
        places = [Store(FOLDER, str(path.absolute().parent))]
        found = scan(places, HeadCache(folder))
        for entry in found.entries:
            if str(path.absolute()) in entry.files:
                return entry
        raise CommandError(f"{path} is no model: {_reason(path, folder)}")
    found = _found(args, folder, taken)
    for entry in found.entries:
        if args.model in {entry.name, *entry.aliases}:
            return entry
    if names := found.ambiguous.get(args.model):
        raise CommandError(f"{args.model} could mean {' or '.join(names)}")
    raise CommandError(f"no file and no model is called {args.model}; 'models list' shows all")


def _reason(path: Path, folder: Path) -> str:
    try:
        return f"it is of the kind '{HeadCache(folder).facts(path).kind}'"
    except (OSError, ValueError) as error:
        return str(error)


def _found(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> Inventory:
    kinds = (*USUAL, OLLAMA) if args.ollama else USUAL
    places = stores_here(args.dir, kinds)
    return scan(places, HeadCache(folder), before=load_entries(folder), taken=taken())


_ACTIONS = {"list": _list, "scan": _scan, "import": _import, "plan": _plan}
