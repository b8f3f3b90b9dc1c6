"""The size of a request whose work is not counted in tokens: seconds of sound, or characters. Pure.

A request for speech has as many characters as its text. A sound has its seconds, if its file tells
them: see engine/sound/lengths.py. They are known for certain once it is decoded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from utils.errors import BadRequest

if TYPE_CHECKING:
    from models.spec import ModelSpec


class Unit(StrEnum):
    """What a request's work is counted in, where that is not tokens."""

    SECONDS = "seconds"
    CHARACTERS = "characters"


class Amount(NamedTuple):
    """How large a request is."""

    number: float
    unit: Unit

    @property
    def value(self) -> float:
        """The number as it is told: characters are whole, seconds have three places."""
        return round(self.number, 3) if self.unit is Unit.SECONDS else int(self.number)

    def of(self, unit: Unit) -> float | None:
        """Return the value if it is in this unit, else None."""
        return self.value if self.unit is unit else None

    def within(self, model: ModelSpec) -> None:
        """Raise BadRequest if the model's configuration allows less."""
        if self.unit is Unit.SECONDS:
            check_seconds(self.number, model.max_seconds, model.name)
        elif model.max_characters is not None and self.number > model.max_characters:
            raise BadRequest(
                f"The text has {self.value} characters; '{model.name}' takes at most"
                f" {model.max_characters} (max_characters).",
                param="input",
            )


def check_seconds(seconds: float, limit: float | None, model: str) -> None:
    """Raise BadRequest if a sound of so many seconds is longer than ``limit``; None allows any."""
    if limit is not None and seconds > limit:
        raise BadRequest(
            f"The sound has {seconds:.1f} seconds; '{model}' takes at most {limit:g}"
            " (max_seconds).",
            param="file",
        )


def of_sound(seconds: float | None) -> Amount | None:
    """Return the amount of a sound; None if its length is not known."""
    return None if seconds is None else Amount(seconds, Unit.SECONDS)
