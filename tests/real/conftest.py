"""Fixtures of the tests on real engines, and which of them share a worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from postgres import Postgres, postgres
from tiny_models import PLAIN, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

HERE = Path(__file__).parent


# What the tests of a module may share, and should have one of.
SHARED = {"served", "project", "browser"}
# The groups that take longest, so that none of them begins when the others end.
LONG = (
    *("test_speech", "accounts", "test_pages_live", "test_pages_playground", "test_pages_admin"),
    "test_health",
)


# Before xdist's own hook, which reads the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one module and engine on one worker: they share a gateway.

    The longest groups come first.
    """
    places = {}
    for item in items:
        if item.path.parent != HERE:
            continue
        if isinstance(item, pytest.Function) and SHARED & {*item.fixturenames}:
            engine = item.callspec.params.get("served", "") if hasattr(item, "callspec") else ""
            one = "" if {"project", "browser"} & {*item.fixturenames} else engine
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {one}"))
        group = item.get_closest_marker("xdist_group")
        name = str(group.args[0]).split()[0] if group else ""
        places[item] = LONG.index(name) if name in LONG else len(LONG)
    items.sort(key=lambda item: places.get(item, len(LONG)))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with SmolLM2's tokenizer and template, a hundred times faster."""
    return write(PLAIN, tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the embedded whisper's weights: the first that starts in this run makes them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "weights"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A server in which tests make databases of their own; see ``postgres.new_database``."""
    with postgres() as running:
        yield running


# Not for the session: its client has a running loop as long as it lives.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one module."""
    from browser import chromium  # noqa: PLC0415 - its client takes a while to import

    with chromium() as running:
        yield running
