"""What a request is answered by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builders import TYPES, variant

from engine.llamacpp.type import LlamaCpp
from engine.types import EngineTypes
from models.capabilities import Capabilities
from models.catalog import Catalog
from models.spec import ModelSpec
from server.configuration import Configuration, CurrentConfiguration
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from models.spec import VariantSpec


def configuration(*models: ModelSpec) -> Configuration:
    settings = ServerSettings(cors_origins=("https://a.example",))
    return Configuration.of(settings, Catalog(models), TYPES)


def model(name: str) -> ModelSpec:
    return ModelSpec(name, (variant(4096, name),))


def test_what_follows_from_a_configuration() -> None:
    made = configuration(model("a"), model("b"))
    assert made.cors.allows("https://a.example")
    assert not made.cors.allows("https://b.example")
    assert made.able["a"].shown() == ["text"]
    assert set(made.able) == {"a", "b"}


def test_a_model_of_before_is_told_from_one_of_now() -> None:
    before, after = model("a"), model("a")
    current = CurrentConfiguration(configuration(before))
    assert current.still_has(before)
    assert not current.still_has(after)
    current.now = configuration(model("b"))
    assert not current.still_has(before)


class Learning(LlamaCpp):
    """Engines that turn out to see images; notes the models that it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.able = frozenset({"text"})
        self.asked: list[str] = []

    def capabilities(self, variant: VariantSpec) -> Capabilities:
        self.asked.append(variant.model)
        return Capabilities(self.able, self.able)


def test_capabilities_are_asked_for_again_after_news_only() -> None:
    engines = Learning()
    catalog = Catalog([model("a"), model("b")])
    able = Configuration.of(ServerSettings(), catalog, EngineTypes([engines])).able
    assert [able["a"].shown(), able["a"].shown()] == [["text"], ["text"]]
    assert engines.asked == ["a", "b"]
    engines.able |= {"vision"}
    engines.tell_news()
    assert able["a"].shown() == ["text", "vision"]
    assert able["a"].shown() == ["text", "vision"]
    assert engines.asked == ["a", "b", "a"]
