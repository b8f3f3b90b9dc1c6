"""models/routing/kinds.py: the type of a model."""

from __future__ import annotations

import pytest

from models.capabilities import Capabilities
from models.routing.kinds import TYPES, type_of


@pytest.mark.parametrize(
    ("certain", "name"),
    [
        ("text", "text"),
        ("text tools", "text"),
        ("text vision", "vision"),
        ("text vision audio tools", "omni"),
        ("text audio", "omni"),
        ("embeddings", "embedding"),
        ("embeddings vision", "vision-embedding"),
        ("rerank", "rerank"),
        ("audio", "audio"),
        ("speech", "tts"),
        ("image", "image"),
        ("", None),
    ],
)
def test_the_type(certain: str, name: str | None) -> None:
    assert type_of(Capabilities(frozenset(certain.split()), frozenset())) == name
    assert name is None or name in TYPES
