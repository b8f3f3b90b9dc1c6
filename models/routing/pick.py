"""Order the models of a rule: the first is asked, the others are asked if it fails. Pure."""

from __future__ import annotations

from hashlib import blake2b
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from utils.config.routes import PickTable

PICKERS = ("first", "warm", "cheapest_to_load", "spillover", "weighted")


class Seen(NamedTuple):
    """What runs of a model: whether its engine is ``ready``, or at least ``starting``.

    ``busy`` are its requests, those that wait too. ``load_seconds`` is what its last start took;
    None if that is not known. ``free`` requests would be answered at once. ``loadable``: it would
    be loaded now. ``gone``: the peer that has it does not answer.
    """

    ready: bool = False
    starting: bool = False
    busy: int = 0
    load_seconds: float | None = None
    free: int = 0
    loadable: bool = True
    gone: bool = False

    @property
    def warmth(self) -> int:
        """0 if it is ready, 1 if it will be soon, else 2."""
        return 0 if self.ready else 1 if self.starting else 2

    @property
    def to_load(self) -> float:
        """The seconds until it could answer; infinity if that is not known."""
        if self.ready or self.starting:
            return 0.0
        return inf if self.load_seconds is None else self.load_seconds

    @property
    def turn(self) -> tuple[bool, int, int]:
        """Less is sooner: it runs with a place free, it loads or can be loaded, it waits."""
        if self.ready:
            return self.gone, 0 if self.free > 0 else 2, self.busy
        return self.gone, 1 if self.starting or self.loadable else 2, self.busy


class Running(Protocol):
    """Knows what runs of each model."""

    def seen(self, model: str) -> Seen:
        """Return what runs of the model of this name."""
        ...


class Candidate(NamedTuple):
    """A target by its name in the rule, and the models that it stands for, best first."""

    name: str
    models: tuple[str, ...]


_Key = TypeVar("_Key", int, float)


def ordered(
    table: PickTable, candidates: Sequence[Candidate], running: Running, key: str
) -> list[Candidate]:
    """Return the candidates in the order in which they are asked.

    ``key`` decides where chance would: the same key and the same weights pick the same.
    """
    match table.pick:
        case "warm":
            return _by(candidates, running, lambda seen: seen.warmth)
        case "cheapest_to_load":
            return _by(candidates, running, lambda seen: seen.to_load)
        case "spillover":
            return _spilled(candidates, running, table.limits)
        case "weighted":
            return _weighted(candidates, table.weights, key)
    return list(candidates)


def soonest(models: Sequence[str], running: Running, stays: str | None) -> list[str]:
    """Return the models of a shared name in the order in which they would answer.

    The one where the conversation ``stays`` comes first, as long as its machine is there.
    """

    def rank(name: str) -> tuple[bool, tuple[bool, int, int]]:
        seen = running.seen(name)
        return name != stays or seen.gone, seen.turn

    return sorted(models, key=rank)


def _by(
    candidates: Sequence[Candidate], running: Running, key: Callable[[Seen], _Key]
) -> list[Candidate]:
    return sorted(candidates, key=lambda each: key(running.seen(each.models[0])))


def _spilled(
    candidates: Sequence[Candidate], running: Running, limits: Mapping[str, int]
) -> list[Candidate]:
    """Return first those below their limit, in order; then the others, the least busy first."""
    busy = {each.name: running.seen(each.models[0]).busy for each in candidates}

    def rank(each: Candidate) -> tuple[bool, int]:
        limit = limits.get(each.name)
        full = limit is not None and busy[each.name] >= limit
        return full, busy[each.name] if full else 0

    return sorted(candidates, key=rank)


def _weighted(
    candidates: Sequence[Candidate], weights: Mapping[str, int], key: str
) -> list[Candidate]:
    """Return first the one that the key falls on, each by its share; then the others, in order."""
    shares = [weights.get(each.name, 1) for each in candidates]
    total = sum(shares)
    if not total:
        return list(candidates)
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    place = int.from_bytes(digest) % total
    for each, share in zip(candidates, shares, strict=True):
        if place < share:
            return [each, *(other for other in candidates if other is not each)]
        place -= share
    raise RuntimeError("the shares do not add up to their sum")
