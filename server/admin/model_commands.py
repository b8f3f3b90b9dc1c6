"""``main.py models …``: the models of this machine, without a gateway."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.resources.machine import machine_memory
from models.discovery.importing import forget, import_folder
from models.discovery.inventory import MANUAL
from models.discovery.scan import scan, stores_here
from models.discovery.state import load_entries, save_entries
from models.discovery.stores import FOLDER, OLLAMA, USUAL, Store
from models.downloads.reference import wanted
from models.downloads.removal import remove
from models.downloads.verify import verify
from models.head_cache import HeadCache
from models.planning import Wishes, plan
from server.admin.commands import NOT_RUNNING, AdminClient
from server.admin.outcome import FAILED, CommandError, carried_out
from server.admin.own_token import read_token
from server.admin.presence import gateways_in
from server.admin.show import size_text
from server.admin.show_models import (
    models_json,
    models_text,
    news_text,
    plan_json,
    plan_text,
    verdicts_text,
)
from utils.errors import GatewayError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from models.discovery.inventory import Entry, Inventory, Taken


class Planned(NamedTuple):
    """A model by its file, as the configuration names it, and what that says of its plan."""

    entry: Entry
    wishes: Wishes
    on_gpu: bool = True


def run_model_command(
    args: argparse.Namespace,
    folder: Path,
    taken: Callable[[], Taken],
    wishes: Wishes | None = None,
    planned: Callable[[str], Planned | None] = lambda _: None,
) -> int:
    """Carry out the action in ``args`` and return the exit status.

    ``folder`` is the state folder. ``taken`` is what a configuration already names, ``wishes`` what
    it says of all plans, ``planned`` what it says of the model of a name.
    """
    args.wishes = wishes or Wishes()
    args.planned = planned

    def work() -> int:
        try:
            text, said = _ACTIONS[args.action](args, folder, taken)
        except GatewayError as error:
            raise CommandError(error.message) from None
        sys.stdout.write(json.dumps(said, indent=2) + "\n" if args.json else text)
        return FAILED if said.get("damaged") else 0

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
    try:
        found = import_folder(args.folder, folder, taken())
    except NotADirectoryError as error:
        raise CommandError(str(error)) from None
    return models_text(found), models_json(found)


def _plan(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> _Answer:
    said: Planned | None = args.planned(args.model)
    entry = _entry(args, folder, taken) if said is None else said.entry
    if entry.facts is None or not entry.ready:
        raise CommandError(f"{entry.name}: {entry.problem or 'its head cannot be read'}")
    gpus = None if args.gpu is None else tuple(gpu for gpu in args.gpu if gpu)
    machine = machine_memory(args.ram, gpus if said is None or said.on_gpu else ())
    projector = Path(entry.projector).stat().st_size if entry.projector else 0
    try:
        wishes = replace(args.wishes, beside=projector) if said is None else said.wishes
        if args.cache_type:
            wishes = replace(wishes, cache_type=args.cache_type)
        made = plan(entry.facts, machine, wishes)
    except ValueError as error:
        raise CommandError(str(error)) from None
    return plan_text(entry, made, machine), plan_json(entry, made, machine)


def _pull(args: argparse.Namespace, folder: Path, _taken: Callable[[], Taken]) -> _Answer:
    asked = wanted(args.model, args.file, args.revision)
    # The client of the hub takes a while to import.
    from server.admin.pull_command import fetch_model, pulled_json  # noqa: PLC0415 - see above

    done = fetch_model(asked)
    _tell_gateways(folder)
    return "".join(f"{path}\n" for path in done.paths), pulled_json(asked, done)


def _tell_gateways(folder: Path) -> None:
    """Have the gateways of this state folder look for models again, if they answer."""
    for each in gateways_in(folder):
        with contextlib.suppress(CommandError, OSError):
            AdminClient(each.url, read_token(folder)).ask("POST", "/admin/rescan")


def _refuse_if_used(entry: Entry, folder: Path) -> None:
    """Raise CommandError if a gateway of this state folder runs the model, or is to serve it."""
    for each in gateways_in(folder):
        try:
            models = AdminClient(each.url, read_token(folder)).ask("GET", "/admin/models")["models"]
        except CommandError as error:
            if error.status == NOT_RUNNING:
                continue
            raise
        for known in models:
            names = ", ".join(known["served_as"])
            if known["path"] == entry.path and known["loaded"]:
                raise CommandError(f"{names} runs in the gateway at {each.url}: unload it first")
            if known["path"] == entry.path and known["configured"]:
                raise CommandError(f"{names} is in the configuration of the gateway at {each.url}")


def _remove(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> _Answer:
    found = _found(args, folder, taken)
    entry = _entry_called(args.model, found)
    _refuse_if_used(entry, folder)
    if entry.state == MANUAL:
        forget(entry, folder)
        _tell_gateways(folder)
        return f"{entry.name}: forgotten, its file stays\n", {"removed": entry.name, "files": []}
    gone = remove(entry, [each for each in found.entries if each is not entry])
    _tell_gateways(folder)
    text = f"{entry.name}: removed, {size_text(entry.size)}\n"
    return text, {"removed": entry.name, "files": gone}


def _verify(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> _Answer:
    found = _found(args, folder, taken)
    entries = found.entries if args.model is None else (_entry_called(args.model, found),)
    checked = [(entry.name, verdict) for entry in entries for verdict in verify(entry)]
    said = {"files": [{"model": name, **asdict(verdict)} for name, verdict in checked]}
    said["damaged"] = [each["path"] for each in said["files"] if each["problem"]]
    return verdicts_text(checked), said


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
    return _entry_called(args.model, _found(args, folder, taken))


def _entry_called(name: str, found: Inventory) -> Entry:
    """Return the entry with this name or alias."""
    for entry in found.entries:
        if name in {entry.name, *entry.aliases}:
            return entry
    if names := found.ambiguous.get(name):
        raise CommandError(f"{name} could mean {' or '.join(names)}")
    raise CommandError(f"no file and no model is called {name}; 'models list' shows all")


def _reason(path: Path, folder: Path) -> str:
    try:
        return f"it is of the kind '{HeadCache(folder).facts(path).kind}'"
    except (OSError, ValueError) as error:
        return str(error)


def _found(args: argparse.Namespace, folder: Path, taken: Callable[[], Taken]) -> Inventory:
    # Without a configuration, the gateway serves those of Ollama, too.
    kinds = (*USUAL, OLLAMA) if args.ollama or args.config is None else USUAL
    places = stores_here(args.dir, kinds)
    return scan(places, HeadCache(folder), before=load_entries(folder), taken=taken())


_ACTIONS = {
    "list": _list,
    "scan": _scan,
    "import": _import,
    "plan": _plan,
    "pull": _pull,
    "rm": _remove,
    "verify": _verify,
}
