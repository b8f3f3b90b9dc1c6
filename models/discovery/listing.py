"""What the walk through a store found, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.discovery.stores import Store


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is found: ``inside`` is its path in the store, with ``/``.

    Device and inode are those of the file itself if it is reached by a link.
    """

    path: str
    inside: str
    size: int
    device: int
    inode: int
    changed: int

    @property
    def folder(self) -> str:
        """The folder of the file, in the store."""
        return self.inside.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.inside.rpartition("/")[2]

    @property
    def identity(self) -> tuple[int, int]:
        """What tells it from every other file of the machine."""
        return self.device, self.inode


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a store, and the texts of small ones that tell about them.

    ``problem`` says why the listing is not complete, "" if it is. A store that does not exist is
    complete and empty.
    """

    store: Store
    files: tuple[File, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
