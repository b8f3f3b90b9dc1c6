"""Fixtures of the tests on real engines, and which of them share a worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from postgres import Postgres, postgres
from tiny_models import PLAIN, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

HERE = Path(__file__).parent


# Before xdist's own hook, which reads the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one module and engine on one worker: they share a gateway."""
    for item in items:
        if item.path.parent == HERE and isinstance(item, pytest.Function):
            engine = item.callspec.params.get("served", "") if hasattr(item, "callspec") else ""
            if "served" in item.fixturenames:
                item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {engine}"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with SmolLM2's tokenizer and template, a hundred times faster."""
    return write(PLAIN, tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A server in which tests make databases of their own; see ``postgres.new_database``."""
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module."""
    from browser import chromium  # noqa: PLC0415 - its client takes a while to import

    with chromium() as running:
        yield running
