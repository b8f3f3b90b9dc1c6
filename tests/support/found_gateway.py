"""A gateway without a configuration: it serves the models of a user's home, on fake engines."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fake_engine import LLAMA_SERVER, Journal
from gateway_client import GatewayClient, client_session

import app
from engine.llamacpp.discovery import EVERYTHING, Discovery
from utils.config.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from models.spec import ModelSpec

TOKEN = "for-tests"


def new_home(home: Path, monkeypatch: pytest.MonkeyPatch, hub: str = "") -> None:
    """Make ``home`` that of a user without models, whose hub is at the address ``hub``."""
    for name in [each for each in os.environ if each.startswith(("HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name in ("LLAMA_CACHE", "OLLAMA_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{Path(LLAMA_SERVER).parent}:{os.environ['PATH']}")
    if hub:
        monkeypatch.setenv("HF_ENDPOINT", hub)


@asynccontextmanager
async def found_gateway(
    journal: Journal, *, within: float = inf, **settings: Any
) -> AsyncIterator[GatewayClient]:
    """Inside the block a gateway serves what is found in the user's home.

    Heads are read for ``within`` seconds before it starts, and then for requests that need them.
    """
    state = journal.path.parent / "state"
    given = ServerSettings(listen_v4="127.0.0.1:0", admin_token=TOKEN, **settings)
    discovery = Discovery(state)
    settings_now, catalog = discovery.catalog(EVERYTHING, given, within)

    async def read_one(name: str) -> ModelSpec | None:
        return await asyncio.to_thread(discovery.read_one, name)

    again = partial(discovery.again, EVERYTHING, given)
    built = app.build(settings_now, catalog, again, state, read_one=read_one)
    async with built.gateway.serving() as endpoints, client_session() as session:
        yield GatewayClient(endpoints[0].port, journal, session, TOKEN)
