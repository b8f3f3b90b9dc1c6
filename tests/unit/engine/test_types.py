"""engine/types.py: types are found by their names, and asked about models."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from builders import TYPES, variant

from engine.base import Voice
from engine.generic.type import Generic
from engine.piper.type import Piper
from engine.types import EngineTypes
from models.capabilities import Capabilities
from models.spec import ModelSpec
from utils.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from engine.base import EngineType

BOTH = {"vision", "audio"}


def made(*args: str, **fields: Any) -> ModelSpec:
    specs = tuple(variant(512 * n, args=tuple(a.split())) for n, a in enumerate(args, start=1))
    return ModelSpec(name="m", variants=specs, **fields)


def test_a_variant_has_the_type_that_it_names_or_the_first() -> None:
    assert TYPES.of(variant()) is TYPES.of(variant(engine="llamacpp"))
    with pytest.raises(ConfigError, match=r"no engine type 'other'. Known types: llamacpp"):
        TYPES.of(variant(engine="other"))


def test_a_type_is_made_when_a_variant_first_needs_it() -> None:
    made_types: list[EngineType] = []

    def later() -> EngineType:
        made_types.append(Generic())
        return made_types[-1]

    types = EngineTypes([TYPES.of(variant())], {"generic": later})
    assert types.names == ("llamacpp", "generic")
    assert not made_types
    found = types.of(variant(engine="generic"))
    assert [found] == [types.of(variant(engine="generic"))] == made_types
    found.tell_news()
    assert types.news == 1
    assert types.names == ("llamacpp", "generic")
    with pytest.raises(ConfigError, match=r"Known types: llamacpp, generic\."):
        types.of(variant(engine="other"))


def test_what_only_one_variant_can_is_possible_but_not_promised() -> None:
    assert TYPES.capabilities(made("--mmproj p", "")) == Capabilities(
        frozenset({"text"}), frozenset({"text", "tools", *BOTH})
    )


def test_the_configuration_has_the_last_word() -> None:
    given = frozenset({"text", "audio"})
    assert TYPES.capabilities(made("--embeddings", capabilities=given)) == Capabilities(
        given, given
    )


def test_whether_a_model_has_a_voice(tmp_path: Path) -> None:
    told = {"speaker_id_map": {"amy": 0, "bob": 1}}
    (tmp_path / "en_US-two-low.onnx.json").write_text(json.dumps(told))
    speaks = variant(None, engine="piper", args=("-m", str(tmp_path / "en_US-two-low.onnx")))
    types = EngineTypes([Piper(), Generic()])
    found = {
        name: types.has_voice(ModelSpec(name="m", variants=(speaks,)), name)
        for name in ("bob", "two", "alloy", "eve")
    }
    # A name that means the default voice may be another model's own.
    assert found == {"bob": True, "two": None, "alloy": None, "eve": False}
    elsewhere = ModelSpec(name="m", variants=(variant(None, engine="generic"),))
    # Of a peer's model it is known what the peer tells.
    telling = replace(elsewhere, voices=(("eve", "en"),))
    assert types.has_voice(telling, "eve") is True
    assert types.has_voice(telling, "bob") is None
    assert types.voices(telling) == [Voice("eve", "en")]
    assert types.has_voice(elsewhere, "eve") is None
