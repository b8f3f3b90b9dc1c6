"""models/spec.py: what the frozen values tell of themselves."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from builders import model, variant

from models.spec import ModelSpec


def test_a_variant_is_called_by_model_and_context() -> None:
    assert variant(8192, "qwen").label == "qwen@8192"


def test_a_variant_may_have_a_name_of_its_own() -> None:
    named = variant(8192, "qwen", name="long")
    assert (named.label, named.shown, named.capacity) == ("qwen@long", "long", 8192)
    plain = variant(8192, "qwen")
    assert (plain.shown, plain.capacity) == (8192, 8192)


def test_a_variant_without_a_context_has_no_capacity() -> None:
    voice = variant(None, "voice", name="fast")
    assert (voice.label, voice.shown, voice.capacity) == ("voice@fast", "fast", 0)
    assert not ModelSpec("voice", (voice,)).counted
    assert model().counted


def test_the_largest_variant_is_the_last() -> None:
    assert model(4096, 8192, 16384).largest.context == 16384


def test_specs_are_frozen_and_share_no_environment() -> None:
    one, other = variant(), variant()
    with pytest.raises(FrozenInstanceError):
        one.context = 1  # type: ignore[misc] # mypy refuses it, too
    assert one == other
    assert one.env is not other.env
    assert one.parallel == 1
    with pytest.raises(FrozenInstanceError):
        model().name = "x"  # type: ignore[misc] # mypy refuses it, too
