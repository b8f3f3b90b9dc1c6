"""The engine types of this gateway, by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from models.capabilities import Capabilities
from models.requests.endpoints import SPEECH
from utils.errors import BadRequest, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.base import EngineType, Forecast, ModelFile, Voice
    from models.planning import MachineMemory
    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, VariantSpec


class EngineTypes:
    """Every type by its name; the first one is the default.

    Those in ``later`` are made when a variant first needs one, by calling what their name has.
    ``news`` grows when the capabilities of a model may have changed.
    """

    def __init__(
        self,
        types: Iterable[EngineType],
        later: Mapping[str, Callable[[], EngineType]] = MappingProxyType({}),
    ) -> None:
        self._types = {each.name: each for each in types}
        self._default = next(iter(self._types))
        self._later = later
        self.news = 0
        for each in self._types.values():
            each.tell_news = self._note_news

    @property
    def names(self) -> tuple[str, ...]:
        """The names for ``engine =``, the default first."""
        return tuple(dict.fromkeys((*self._types, *self._later)))

    def of(self, variant: VariantSpec) -> EngineType:
        """Return the variant's type; raise ConfigError for an unknown name."""
        name = variant.engine or self._default
        known = self._types.get(name)
        return self._made(name) if known is None else known

    def _made(self, name: str) -> EngineType:
        if name not in self._later:
            known = ", ".join(self.names)
            raise ConfigError(f"There is no engine type '{name}'. Known types: {known}.")
        # A thread may make the same type at the same time: the first one stays.
        made = self._types.setdefault(name, self._later[name]())
        made.tell_news = self._note_news
        return made

    def obeyed(self, model: ModelSpec) -> frozenset[str]:
        """Return the fields beside OpenAI's that the model's engines obey in a chat."""
        return self.of(model.largest).obeys

    def answers_at_once(self, model: ModelSpec) -> int | None:
        """Return how many answers any engine of the model gives to one request, or None."""
        limits = [self.of(variant).answers_at_once(variant) for variant in model.variants]
        return min((limit for limit in limits if limit is not None), default=None)

    def voices(self, model: ModelSpec) -> list[Voice]:
        """Return the voices that the model is known to speak with."""
        if model.voices:
            from engine.base import Voice  # noqa: PLC0415 - few models have a peer

            return [Voice(name, language) for name, language in model.voices]
        return self.of(model.largest).voices(model.largest)

    def has_voice(self, model: ModelSpec, voice: str) -> bool | None:
        """Return whether the model speaks with the voice of this name, None if it may.

        A name of OpenAI's means any model's default voice, so it may.
        """
        if any(voice == each.name for each in self.voices(model)):
            return True
        try:
            self.of(model.largest).fit(model.largest, SPEECH, {"input": "a", "voice": voice})
        except BadRequest as error:
            return False if error.param == "voice" else None
        return None

    def licence(self, model: ModelSpec) -> str:
        """Return the licence of the model's weights, "" if it is not known."""
        return self.of(model.largest).licence(model.largest)

    def gpu_layers(self, variant: VariantSpec, environ: Mapping[str, str]) -> str:
        """Return how many layers of the variant are for the GPU, "" if that is not known."""
        return self.of(variant).gpu_layers(variant, environ)

    def forecast(
        self, variant: VariantSpec, environ: Mapping[str, str], machine: MachineMemory
    ) -> Forecast:
        """Return what the variant's engine will take on this machine, or why it is not known."""
        return self.of(variant).forecast(variant, environ, machine)

    def files(self, variant: VariantSpec, environ: Mapping[str, str]) -> list[str]:
        """Return the files that the variant's engine reads while it loads."""
        return self.of(variant).files(variant, environ)

    def model_file(
        self, variant: VariantSpec, environ: Mapping[str, str], *, brief: bool = False
    ) -> ModelFile | None:
        """Return what the files of the variant's model tell, None if unknown; may read files.

        If it is to be ``brief``, ``info`` and ``template`` are empty.
        """
        return self.of(variant).model_file(variant, environ, brief=brief)

    def inherited(self, variant: VariantSpec, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of ``environ`` that change what the variant's engine needs."""
        names = self.of(variant).environment
        return {name: value for name, value in environ.items() if name.startswith(names)}

    def capabilities(self, model: ModelSpec) -> Capabilities:
        """Return the configured ones, else those of every variant (certain) or any (possible)."""
        if model.capabilities is not None:
            return Capabilities(model.capabilities, model.capabilities)
        each = [self.of(variant).capabilities(variant) for variant in model.variants]
        return Capabilities(
            frozenset.intersection(*(found.certain for found in each)),
            frozenset.union(*(found.possible for found in each)),
        )

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """Return the tokens of the text, counted without an engine, or raise CountUnavailable."""
        return await self.of(model.largest).count_text(model, text)

    async def count_prompt(self, model: ModelSpec, facts: RequestFacts) -> int:
        """Return the tokens of the prompt with its template, counted without an engine.

        Raises CountUnavailable.
        """
        return await self.of(model.largest).count_prompt(model, facts)

    async def close(self) -> None:
        """End what runs besides the engines."""
        for each in tuple(self._types.values()):
            await each.close()

    def _note_news(self) -> None:
        self.news += 1
