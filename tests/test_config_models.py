"""Keys of a model that say how requests to it are served, from Lua to the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lua_config import VERSIONS, models, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", VERSIONS)
def test_capabilities(version: str, tmp_path: Path) -> None:
    left = run(version, tmp_path, models('capabilities = { "text", "vision" }'))
    assert left.faults == []
    assert left.models[0]["capabilities"] == ["text", "vision"]


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ('capabilities = "text"', 'expected a list such as { "text", "tools" }, got "text"'),
        ('capabilities = { "visoin" }', "did you mean vision?"),
    ],
)
def test_capabilities_that_are_none(extra: str, fault: str, tmp_path: Path) -> None:
    (told,) = run("lua54", tmp_path, models(extra)).faults
    assert told.startswith("models[1].capabilities")
    assert fault in told
