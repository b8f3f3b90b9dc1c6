"""Name the models that were found: the same files always get the same names. Pure.

1. A name is what the store itself calls the model, else ``org/repo:QUANTISATION``, else the stem of
   the file.
2. If several models would have one name, or if it is taken, each is called by its folder and stem,
   with as many folders as it takes.
3. Aliases are the stem, the name of the file and, for one model of a repository, ``org/repo``. An
   alias that several models would have is dropped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from models.discovery.found import FoundModel

# Which file of a repository is meant if none is named, as in llama.cpp.
_FIRST = ("Q4_K_M", "Q8_0")


@dataclass(frozen=True, slots=True)
class Names:
    """The name and the aliases of each model, in the order of the models.

    ``ambiguous`` are the aliases that were dropped, each with the names that it could mean.
    """

    names: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...]
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def names_of(
    models: Sequence[FoundModel],
    taken: Collection[str] = (),
    others: Sequence[Sequence[FoundModel]] = (),
) -> Names:
    """Return the names of the models; ``taken`` are names that none of them may have.

    ``others`` are, for each model, the same file at other places: their names become aliases.
    """
    names = _resolved([_names(model) for model in models], frozenset(taken))
    used = {*names, *taken}
    wishes: list[list[str]] = []
    chosen = _chosen(models)
    for number, model in enumerate(models):
        same = others[number] if others else ()
        wanted = [alias for each in (model, *same) for alias in (_plain(each), *_of_file(each))]
        if model.origin.repo and chosen[model.origin.repo] == number:
            wanted.append(model.origin.repo)
        wishes.append([alias for alias in dict.fromkeys(wanted) if alias not in used])
    counted = Counter(alias for wanted in wishes for alias in wanted)
    ambiguous = {
        alias: tuple(name for name, wanted in zip(names, wishes, strict=True) if alias in wanted)
        for alias, count in sorted(counted.items())
        if count > 1
    }
    aliases = tuple(tuple(a for a in wanted if counted[a] == 1) for wanted in wishes)
    return Names(names, aliases, ambiguous)


def _resolved(ladders: list[list[str]], taken: frozenset[str]) -> tuple[str, ...]:
    """Return a name of each ladder: the first that no other has, and that is not taken.

    All that share a name leave it, so that the order of the models does not matter.
    """
    steps = [0] * len(ladders)
    while True:
        names = [ladder[step] for ladder, step in zip(ladders, steps, strict=True)]
        counted = Counter(names)
        moved = False
        for number, name in enumerate(names):
            if (counted[name] > 1 or name in taken) and steps[number] + 1 < len(ladders[number]):
                steps[number] += 1
                moved = True
        if not moved:
            return tuple(names)


def _names(model: FoundModel) -> list[str]:
    """Return the names that the model may have, the best first; the last one is its path."""
    origin = model.origin
    folders = origin.file.path.replace("\\", "/").split("/")[:-1]
    if origin.repo:
        *inner, _ = origin.inside.split("/")
        longer = ["/".join((origin.repo, *inner, model.named.stem))]
    else:
        longer = []
    stems = ["/".join((*folders[-n:], model.named.stem)) for n in range(1, len(folders))]
    return [_plain(model), *longer, *stems, origin.file.path]


def _plain(model: FoundModel) -> str:
    origin, named = model.origin, model.named
    if origin.title:
        return origin.title
    if origin.repo:
        return f"{origin.repo}:{named.quantisation or named.stem}"
    return named.stem


def _of_file(model: FoundModel) -> tuple[str, ...]:
    """Return the aliases by the file's name; a file of a store with titles has no telling one."""
    if model.origin.title:
        return ()
    return model.named.stem, model.named.name


def _chosen(models: Sequence[FoundModel]) -> dict[str, int]:
    """Return the number of the model that is meant by each repository's name alone."""
    best: dict[str, tuple[int, str, str, int]] = {}
    for number, model in enumerate(models):
        quantisation = model.named.quantisation
        place = _FIRST.index(quantisation) if quantisation in _FIRST else len(_FIRST)
        rank = (place, model.origin.inside, model.origin.file.path, number)
        repo = model.origin.repo
        if repo not in best or rank < best[repo]:
            best[repo] = rank
    return {repo: rank[-1] for repo, rank in best.items()}
