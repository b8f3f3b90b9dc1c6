"""What the gateway knows of a model, for the pages of other APIs about models. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from engine.base import ModelFile
    from models.capabilities import Capabilities
    from models.spec import ModelSpec


class Known(NamedTuple):
    """A model, the name that it is shown under, what it can do, and what its files tell."""

    name: str
    model: ModelSpec
    able: Capabilities
    file: ModelFile | None

    @property
    def context(self) -> int:
        """The tokens of the largest context; 0 if it is not known."""
        trained = self.file.facts.context_length if self.file else 0
        return self.model.largest.context or trained
