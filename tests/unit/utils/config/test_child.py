"""The configuration, loaded in a process of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psutil
import pytest
from fake_engine import LLAMA_SERVER
from gateway import is_running, until
from lua_config import PRESETS
from raw_client import PATIENCE

from utils.config.child import load_apart
from utils.config.loader import ConfigLoader
from utils.errors import ConfigError

GOOD = f"""
server = {{ max_queue = 5, engine_idle_timeout = 1.5 }}
models = {{
  {{ name = "münchen", aliases = {{ "a", b = {{ ["x.y"] = 1 }} }},
    variants = {{ {{ context = 256, binary = "{LLAMA_SERVER}", args = {{ "ä\\n" }} }} }} }},
}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a config.lua"


async def test_it_is_what_the_loader_gives(file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    assert await load_apart(file, PRESETS) == ConfigLoader(file, PRESETS).load()


async def test_faults_are_those_of_the_loader(file: Path) -> None:
    file.write_text("server = { max_queue = 0, listen = 5 }\nmodels = {}\n")
    with pytest.raises(ConfigError) as here:
        ConfigLoader(file, PRESETS).load()
    with pytest.raises(ConfigError) as apart:
        await load_apart(file, PRESETS)
    assert apart.value.message == here.value.message
    assert apart.value.faults == here.value.faults
    assert len(here.value.faults) > 1


async def test_where_it_is_started_does_not_matter(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(GOOD, encoding="utf-8")
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "__init__.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert (await load_apart(file, PRESETS)).server["max_queue"] == 5


async def test_what_the_file_prints_is_not_taken_for_its_tables(file: Path) -> None:
    file.write_text(f"print('[]')\nio.stdout:write('{{')\n{GOOD}", encoding="utf-8")
    assert (await load_apart(file, PRESETS)).server["max_queue"] == 5


async def test_a_loader_that_is_killed_is_a_fault(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "false")
    with pytest.raises(ConfigError, match="ended with status 1"):
        await load_apart(file, PRESETS)


@pytest.mark.parametrize("turns", [None, *range(1, 4)])
async def test_when_cancelled_nothing_runs_on(
    file: Path, tmp_path: Path, turns: int | None
) -> None:
    """However far the loop is with the start of the process when Lua is already at work."""
    began = tmp_path / "began"
    others = {*psutil.Process().children(recursive=True)}

    def family() -> set[psutil.Process]:
        return {*psutil.Process().children(recursive=True)} - others

    file.write_text(
        f"""
        local file = io.open("{began}.new", "w")
        file:write(loader.tmpdir)
        file:close()
        os.rename("{began}.new", "{began}")
        while true do end
        """
    )
    loading = asyncio.get_running_loop().create_task(load_apart(file, PRESETS))
    if turns is None:
        await until(lambda: began.exists() or loading.done())
        assert not loading.done(), loading.result()
    else:
        for _ in range(turns):
            await asyncio.sleep(0)
        deadline = time.monotonic() + PATIENCE
        while not began.exists() and family():
            # The loop must not turn. To look for the family takes longer than to wait for it.
            time.sleep(0.02)
            assert time.monotonic() < deadline
    started = family()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await until(lambda: not any(is_running(process.pid) for process in started))
    if began.exists():
        assert len(started) > 1, "Lua is a process of its own"
        assert not Path(began.read_text()).exists()
