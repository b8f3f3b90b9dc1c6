"""Which documents are stored, and which of them are forgotten first. Pure.

A document belongs to an owner, and nobody else finds it. It is forgotten when nobody has used it
for ``age`` seconds, and earlier where the budget of bytes or the count is exceeded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Limits(NamedTuple):
    """How many bytes and documents are kept at most, and how long an unused one is."""

    size: int
    most: int
    age: float


class Place(NamedTuple):
    """What is known of a document without reading it; ``items`` are the ids of its items."""

    owner: str
    size: int
    used: float
    items: tuple[str, ...] = ()


class Shelf:
    """Places of documents by id, from the one that was used least recently to the latest."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._holders: dict[tuple[str, str], str] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def size(self) -> int:
        """The bytes of all documents."""
        return self._size

    def put(self, key: str, place: Place) -> list[str] | None:
        """Add or replace a document; return the keys of those that must go for it.

        None if it is larger than all of the budget: then nothing has changed.
        """
        if place.size > self._limits.size:
            return None
        self.remove(key)
        self._places[key] = place
        self._size += place.size
        for item in place.items:
            self._holders[place.owner, item] = key
        return list(self._exceeding(place.used))

    def find(self, key: str, owner: str, now: float) -> bool:
        """Return whether the owner has this document; it counts as used at ``now`` then."""
        place = self._places.get(key)
        if place is None or place.owner != owner or now - place.used > self._limits.age:
            return False
        self._places[key] = place._replace(used=now)
        self._places.move_to_end(key)
        return True

    def holder(self, item: str, owner: str) -> str | None:
        """Return the key of the owner's latest document that has the item; None if none has."""
        return self._holders.get((owner, item))

    def remove(self, key: str) -> None:
        """Forget the document; harmless if it is not there."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self._size -= place.size
        for item in place.items:
            if self._holders.get((place.owner, item)) == key:
                del self._holders[place.owner, item]

    def restore(self, found: Iterable[tuple[str, Place]], now: float) -> list[str]:
        """Add the documents that were found on disk; return the keys of those that must go."""
        for key, place in sorted(found, key=lambda each: each[1].used):
            self._places[key] = place
            self._size += place.size
            for item in place.items:
                self._holders[place.owner, item] = key
        return list(self._exceeding(now))

    def _exceeding(self, now: float) -> Iterator[str]:
        """Forget what exceeds the limits, and yield its keys."""
        limits = self._limits
        while self._places:
            key, place = next(iter(self._places.items()))
            fits = self._size <= limits.size and len(self._places) <= limits.most
            if fits and now - place.used <= limits.age:
                return
            self.remove(key)
            yield key
