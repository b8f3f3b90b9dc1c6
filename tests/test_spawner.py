"""engine/spawner.py: the input of an engine that tells of its progress."""

from __future__ import annotations

import os

import pytest
from raw_client import PATIENCE

from engine.progress import VARIABLE
from engine.spawner import Launch, spawn

# Deaf to the signal, it ends with its input and says so.
DEAF = "trap '' TERM; echo started; cat > /dev/null; echo over"


@pytest.mark.timeout(PATIENCE)
async def test_it_stays_open_until_the_engine_is_to_end() -> None:
    env = {**os.environ, VARIABLE: "1"}
    child = await spawn(Launch("m@1", ("sh", "-c", DEAF), env, "http://127.0.0.1:1"))
    lines = child.lines()
    try:
        assert await anext(lines) == "started"
        child.terminate()
        assert [line async for line in lines] == ["over"]
        assert await child.wait() == 0
    finally:
        child.kill()
        child.close()


@pytest.mark.timeout(PATIENCE)
async def test_other_engines_have_none() -> None:
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    child = await spawn(Launch("m@1", ("sh", "-c", DEAF), env, "http://127.0.0.1:1"))
    try:
        assert [line async for line in child.lines()] == ["started", "over"]
        assert await child.wait() == 0
    finally:
        child.kill()
        child.close()
