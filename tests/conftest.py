"""What holds for every test."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_engine import Journal

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories() -> dict[str, LoopFactory]:
    """Tests run on the event loop that the gateway runs on."""
    if sys.platform == "win32":
        return {"asyncio": asyncio.new_event_loop}
    import uvloop  # noqa: PLC0415 - not there on Windows

    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """What the test's fakes do is written here."""
    return Journal(tmp_path / "journal")
