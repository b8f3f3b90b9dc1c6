"""The models of the machine: what was found, what was imported, and what was there before. Pure.

1. A file is one model. If it is found at several places, the first store counts, see ``KINDS``. The
   same model in two stores, by repository, path and size, is one, too.
2. What the configuration names goes over what was imported, and that over what was found.
3. A found model goes with its file, but not while its store cannot be read. An imported model
   stays, and is not available while its file is missing. If the file has another name in the same
   folder or below it, it is that model, under its new name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from models.discovery.found import found_models
from models.discovery.names import names_of
from models.discovery.origins import origins
from models.discovery.stores import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from models.discovery.found import FoundModel, Known
    from models.discovery.listing import Listing
    from models.model_file import FileFacts

AUTO, MANUAL = "auto", "manual"
_ORDER = {kind: place for place, kind in enumerate(KINDS)}
_MISSING = "the file is missing"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the machine.

    ``state`` is ``auto`` if it was found, ``manual`` if it was imported. ``problem`` says why it
    cannot be served, "" if it can. ``facts`` is None as long as its head was not read. ``identity``
    are device and inode of its first file.
    """

    name: str
    path: str
    files: tuple[str, ...]
    size: int
    aliases: tuple[str, ...] = ()
    store: str = ""
    root: str = ""
    repo: str = ""
    commit: str = ""
    quantisation: str = ""
    projector: str = ""
    state: str = AUTO
    problem: str = ""
    doubtful: bool = False
    facts: FileFacts | None = None
    identity: tuple[int, ...] = ()

    @property
    def mark(self) -> tuple[int, ...]:
        """What its file keeps if it gets another name; () if that is not known."""
        if len(self.files) != 1 or not all(self.identity):
            return ()
        return (*self.identity, self.size) if self.identity else ()

    @property
    def ready(self) -> bool:
        """Whether the model can be served."""
        return not self.problem


@dataclass(frozen=True, slots=True)
class Taken:
    """What the configuration has already: files by identity, and names with aliases."""

    files: Collection[tuple[int, int]] = ()
    names: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All entries in the order of their names.

    ``ambiguous`` are aliases that could mean several models, ``problems`` the faults of stores by
    path.
    """

    entries: tuple[Entry, ...] = ()
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def inventory(
    listings: Sequence[Listing],
    known: Known,
    before: Iterable[Entry] = (),
    taken: Taken | None = None,
) -> Inventory:
    """Return what is there by these listings, and by the entries of ``before``."""
    taken = taken or Taken()
    before = list(before)
    manual = {entry.path for entry in before if entry.state == MANUAL}
    models = found_models((o for each in listings for o in origins(each)), known)
    there = {model.origin.file.path for model in models}
    groups = [group for group in _once(models) if not _has(taken, group)]
    renamed = {e.mark for e in before if e.state == MANUAL and e.path not in there and e.mark}
    # Names of imported models come first, so that found ones cannot take them.
    first = [group for group in groups if _imported(group, manual, renamed)]
    later = [group for group in groups if not _imported(group, manual, renamed)]
    entries, ambiguous = _named(first, taken.names, MANUAL)
    again = {entry.mark for entry in entries}
    before = [e for e in before if e.path in there or e.mark not in renamed & again]
    kept = _kept(before, there, listings, taken)
    names = {*taken.names, *(n for e in (*entries, *kept) for n in (e.name, *e.aliases))}
    found, more = _named(later, names, AUTO)
    every = sorted((*entries, *kept, *found), key=lambda entry: entry.name)
    problems = {each.store.path: each.problem for each in listings if each.problem}
    return Inventory(tuple(every), {**ambiguous, **more}, problems)


def _once(models: list[FoundModel]) -> list[list[FoundModel]]:
    """Return groups of models that are the same; the first of a group is the one that counts."""
    models = sorted(models, key=lambda each: (_ORDER[each.origin.kind], each.origin.file.path))
    groups: dict[object, list[FoundModel]] = {}
    for model in models:
        origin = model.origin
        copied = (origin.repo, origin.inside, model.size)
        keys = [origin.file.identity, *([copied] if origin.repo else [])]
        group = next((groups[key] for key in keys if key in groups), [])
        group.append(model)
        for key in keys:
            groups.setdefault(key, group)
    return list({id(group): group for group in groups.values()}.values())


def _has(taken: Taken, group: list[FoundModel]) -> bool:
    return any(file.identity in taken.files for model in group for file in model.files)


def _imported(
    group: list[FoundModel], manual: Collection[str], renamed: Collection[tuple[int, ...]]
) -> bool:
    """Return whether a file of the group was imported, under this path or under another one."""
    return any(
        model.origin.file.path in manual or (*model.origin.file.identity, model.size) in renamed
        for model in group
    )


def _named(
    groups: list[list[FoundModel]], taken: Collection[str], state: str
) -> tuple[list[Entry], Mapping[str, tuple[str, ...]]]:
    models = [group[0] for group in groups]
    told = names_of(models, taken, [group[1:] for group in groups])
    entries = [
        _entry(model, name, aliases, state)
        for model, name, aliases in zip(models, told.names, told.aliases, strict=True)
    ]
    return entries, told.ambiguous


def _entry(model: FoundModel, name: str, aliases: tuple[str, ...], state: str) -> Entry:
    facts = model.facts
    return Entry(
        name,
        model.origin.file.path,
        tuple(file.path for file in model.files),
        model.size,
        aliases,
        model.origin.kind,
        model.origin.root,
        model.origin.repo,
        model.origin.commit,
        model.named.quantisation or ("" if facts is None else facts.quantisation),
        "" if model.projector is None else model.projector.path,
        state,
        model.problem,
        model.doubtful,
        facts,
        model.origin.file.identity,
    )


def _kept(
    before: Iterable[Entry], there: Collection[str], listings: Sequence[Listing], taken: Taken
) -> list[Entry]:
    """Return the earlier entries that stay though they were not found now."""
    unread = {each.store.path: each.problem for each in listings if each.problem}
    kept = []
    for entry in before:
        if entry.path in there:
            continue
        if entry.root in unread:
            problem = f"{entry.root}: {unread[entry.root]}"
        elif entry.state == MANUAL:
            problem = _MISSING
        else:
            continue
        name = entry.path if entry.name in taken.names else entry.name
        aliases = tuple(alias for alias in entry.aliases if alias not in taken.names)
        kept.append(replace(entry, name=name, aliases=aliases, problem=problem))
    return kept
