"""``main.py status | load | unload | reload | logs``, with and without a running gateway."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from gateway_child import config, gateway_process
from main_process import told
from paths import ROOT
from ports import quiet_port
from raw_client import PATIENCE

from server.admin.own_token import NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fake_engine import Journal
    from gateway_child import GatewayProcess


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the gateways and commands of a test a state folder of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    # No browser is opened.
    for screen in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(screen, raising=False)
    return tmp_path / "home" / "llm-gateway"


@asynccontextmanager
async def started(journal: Journal, home: Path | None = None) -> AsyncIterator[GatewayProcess]:
    """Run a gateway with its state in ``home``, or where the configuration says."""
    port = quiet_port()
    server = {"state_dir": str(home)} if home is not None else {}
    text = config(journal, port, server=server)
    async with gateway_process(journal, text, port) as gateway:
        yield gateway


async def test_all_commands_find_the_gateway_in_the_default_folder(
    journal: Journal, home: Path
) -> None:
    async with started(journal, home) as gateway:
        file = journal.path.parent / "gateway.cfg.lua"
        code, out, err = await told("status")
        where = f"{gateway.url}, process {gateway.process.pid}, {file}\n"
        assert (code, out, err) == (0, f"{where}\nMODEL  STATE\nm      not loaded\n", "")
        code, out, err = await told("load", "m")
        assert (code, err) == (0, "")
        assert out.startswith("m@256: ready after ")
        assert await told("load", "m") == (0, "m@256: ready, it was running\n", "")
        code, out, _ = await told("status")
        assert code == 0
        assert "m      256      ready  0 of 1" in out
        assert await told("unload", "m") == (0, "m@256: unloaded\n", "")
        assert await told("unload") == (0, "no engine was running\n", "")
        code, out, _ = await told("open")
        assert (code, out.partition("=")[0]) == (0, f"{gateway.url}/admin/#link")
        assert await told("reload", "--dry-run") == (0, "nothing has changed\n", "")
        file.write_text(file.read_text().replace("server = {", "server = { max_queue = 7,"))
        assert await told("reload") == (0, "server.max_queue: 64 → 7\n", "")
        code, out, _ = await told("logs")
        assert code == 0
        assert "unloaded m@256" in out
        code, out, _ = await told("logs", "m")
        assert code == 0
        assert "unloaded m@256" not in out


async def test_a_refusal_is_told_and_is_a_failure(journal: Journal, home: Path) -> None:
    async with started(journal, home) as gateway:
        for args in (("load", "x"), ("unload", "x"), ("logs", "x")):
            code, out, err = await told(*args)
            assert (code, out) == (1, "")
            assert err.startswith("llm-gateway: The model 'x' does not exist. Available models: m.")
        (journal.path.parent / "gateway.cfg.lua").write_text("models = {}")
        code, out, err = await told("reload")
        assert (code, out) == (1, "")
        assert "models: expected at least one model, or discover or model_dirs\n" in err
        assert (await gateway.health())["status"] == "ok"


async def test_with_the_configuration_named_its_state_folder_is_looked_at(
    journal: Journal,
) -> None:
    async with started(journal) as gateway:
        file = str(journal.path.parent / "gateway.cfg.lua")
        for args in (("-c", file, "status"), ("status", "-c", file)):
            code, out, err = await told(*args)
            assert (code, err) == (0, "")
            assert out.startswith(gateway.url)
        # The note is only a help.
        for note in (journal.path.parent / "state" / "gateways").iterdir():
            note.unlink()
        code, out, _ = await told("-c", file, "status")
        assert (code, out.startswith(gateway.url)) == (0, True)


async def test_without_a_gateway_that_is_said(journal: Journal, home: Path) -> None:
    code, out, err = await told("status")
    assert (code, out) == (3, "")
    assert err == (
        f"llm-gateway: no gateway runs with its state in {home};"
        " if its configuration sets state_dir, name the file: -c FILE\n"
    )
    port = quiet_port()
    file = journal.path.parent / "x.lua"
    file.write_text(config(journal, port))
    code, out, err = await told("status", "-c", str(file))
    assert (code, out) == (3, "")
    assert err.startswith(f"llm-gateway: no gateway answers at http://127.0.0.1:{port}: ")
    file.write_text("models = {}")
    code, out, err = await told("status", "-c", str(file))
    assert (code, out) == (2, "")
    assert "models: expected at least one model" in err


async def test_a_state_folder_that_cannot_be_read(home: Path) -> None:
    home.parent.mkdir()
    home.touch()
    assert await told("status") == (
        1,
        "",
        f"llm-gateway: {home}: not a directory; run this as the user who runs the gateway\n",
    )


async def test_two_gateways_are_told_apart_by_their_configuration(
    journal: Journal, home: Path
) -> None:
    ports = quiet_port(), quiet_port()
    texts = [config(journal, port, server={"state_dir": str(home)}) for port in ports]
    async with (
        gateway_process(journal, texts[0], ports[0], "one"),
        gateway_process(journal, texts[1], ports[1], "two") as two,
    ):
        code, _, err = await told("status")
        folder = journal.path.parent
        assert (code, "2 gateways run; say which: " in err) == (1, True)
        assert f"-c {folder / 'one.cfg.lua'}" in err
        assert f"-c {folder / 'two.cfg.lua'}" in err
        code, out, _ = await told("status", "-c", str(folder / "two.cfg.lua"))
        assert (code, out.startswith(two.url)) == (0, True)


async def test_the_log_is_followed(journal: Journal, home: Path) -> None:
    async with started(journal, home) as gateway:
        follower = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "main.py"),
            "logs",
            "-f",
            stdout=asyncio.subprocess.PIPE,
        )
        assert follower.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert b"listening on" in await follower.stdout.readline()
            await gateway.chat()
            while b"/v1/chat/completions" not in await follower.stdout.readline():
                pass
            gateway.signal()
            await follower.communicate()
            assert await follower.wait() == 0


async def test_a_reader_that_has_enough_is_no_fault(journal: Journal, home: Path) -> None:
    async with started(journal, home) as gateway:
        await gateway.chat()
        line = f"'{sys.executable}' '{ROOT / 'main.py'}' logs | true"
        process = await asyncio.create_subprocess_shell(line, stderr=asyncio.subprocess.PIPE)
        _, err = await process.communicate()
        assert err == b""


async def test_the_token_is_for_its_user_alone_and_not_in_the_log(
    journal: Journal, home: Path
) -> None:
    async with started(journal, home) as gateway:
        assert (home / NAME).stat().st_mode & 0o777 == 0o600
        token = (home / NAME).read_text().strip()
        answer = await gateway.request("GET", "/running", headers={"X-Admin-Token": token})
        assert answer.status == 200
        (await gateway.request("GET", "/running", headers={})).error(401, "admin_token_required")
        assert token not in gateway.said
        gateway.signal()
        assert await gateway.exit_status() == 0
        assert not list((home / "gateways").iterdir())
