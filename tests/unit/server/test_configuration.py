"""What a request is answered by."""

from __future__ import annotations

from builders import TYPES, variant

from models.catalog import Catalog
from models.spec import ModelSpec
from server.configuration import Configuration, CurrentConfiguration
from utils.config.settings import ServerSettings


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
