"""The kinds of engines that this gateway knows, found by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.capabilities import Capabilities
from utils.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.base import EngineType
    from models.spec import ModelSpec, VariantSpec


class EngineTypes:
    """Every type by its name; the first is that of variants which name none."""

    def __init__(self, types: Iterable[EngineType]) -> None:
        self._types = {each.name: each for each in types}
        self._default = next(iter(self._types))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that ``engine =`` may give, the default first."""
        return tuple(self._types)

    def of(self, variant: VariantSpec) -> EngineType:
        """The variant's type; ConfigError where none has that name."""
        name = variant.engine or self._default
        if name not in self._types:
            known = ", ".join(self._types)
            raise ConfigError(f"There is no engine type '{name}'. Known types: {known}.")
        return self._types[name]

    def files(self, variant: VariantSpec, environ: Mapping[str, str]) -> list[str]:
        """The files that the variant's engine reads while it loads."""
        return self.of(variant).files(variant, environ)

    def inherited(self, variant: VariantSpec, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables of ``environ`` that change what the variant's engine needs."""
        names = self.of(variant).environment
        return {name: value for name, value in environ.items() if name.startswith(names)}

    def capabilities(self, model: ModelSpec) -> Capabilities:
        """What is configured, else what every variant (certain) or any (possible) can do."""
        if model.capabilities is not None:
            return Capabilities(model.capabilities, model.capabilities)
        each = [self.of(variant).capabilities(variant) for variant in model.variants]
        return Capabilities(
            frozenset.intersection(*(found.certain for found in each)),
            frozenset.union(*(found.possible for found in each)),
        )

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """The tokens of ``text``, counted without an engine; CountUnavailable where that fails."""
        return await self.of(model.largest).count_text(model, text)
