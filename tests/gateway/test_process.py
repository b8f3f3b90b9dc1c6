"""The gateway as a process: signals, exits, and what it leaves behind."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from fake_engine import LLAMA_SERVER, Journal
from gateway import is_running, until
from gateway_child import (
    GatewayProcess,
    config,
    gateway_process,
    outcome,
    run,
    until_gone,
)
from gateway_client import checked_error
from ports import quiet_port
from raw_client import PATIENCE, RawClient, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def started(
    journal: Journal, name: str = "gateway", **options: Any
) -> AsyncIterator[GatewayProcess]:
    port = quiet_port()
    async with gateway_process(journal, config(journal, port, **options), port, name) as gateway:
        yield gateway


async def streaming(gateway: GatewayProcess, **fields: Any) -> RawClient:
    """Open a stream, of which two tokens have come."""
    client = await (await gateway.stream("alpha", **fields)).head()
    assert text_of([await client.data() for _ in range(3)]) == "alpha.0 alpha.1"
    return client


# -- signals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_streams_finish_and_takes_no_new_requests(
    journal: Journal, number: signal.Signals
) -> None:
    async with started(journal, hold=3) as gateway:
        client = await streaming(gateway, max_tokens=20)
        pid = await gateway.engine_pid()
        # It holds command lines, in which there may be keys.
        [file] = (journal.path.parent / "state").glob("engines-*.json")
        assert file.stat().st_mode & 0o077 == 0
        gateway.signal(number)
        await gateway.until_closing()
        (await gateway.chat()).error(503, "shutting_down")
        assert (await gateway.health())["status"] == "shutting down"
        journal.let_go("3")
        *events, done = await client.rest()
        assert text_of(events).split() == [f"alpha.{number}" for number in range(2, 20)]
        assert done == "[DONE]"
        assert await gateway.exit_status() == 0
        assert not psutil.pid_exists(pid)
        [exited] = journal.events("exit")
        assert exited["code"] == 0, "the engine was asked to end, not killed"
        assert not list((journal.path.parent / "state").glob("engines-*"))


@pytest.mark.parametrize("path", ["/events", "/logs/stream"])
async def test_a_signal_sends_onlookers_home_while_streams_go_on(
    journal: Journal, path: str
) -> None:
    async with started(journal, stall_at=2) as gateway:
        client = await streaming(gateway)
        onlooker = await gateway.connect()
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Admin-Token: {gateway.token}"
        await onlooker.send(f"{head}\r\n\r\n".encode())
        assert (await onlooker.head()).status == 200
        gateway.signal()
        while await onlooker.chunk():
            pass
        assert not onlooker.cut
        assert (await gateway.health())["status"] == "shutting down"
        client.leave()
        assert await gateway.exit_status() == 0


async def test_a_signal_when_idle(journal: Journal) -> None:
    async with started(journal) as gateway:
        assert (await gateway.chat()).status == 200
        pid = await gateway.engine_pid()
        gateway.signal()
        assert await gateway.exit_status() == 0
        assert not psutil.pid_exists(pid)
        assert "Traceback" not in gateway.said


async def test_a_signal_while_the_engine_loads(journal: Journal) -> None:
    async with started(journal, load_seconds=60, server={"keepalive_interval": 0.05}) as gateway:
        waiting = await gateway.stream()
        commented = await (await gateway.stream()).head()
        await commented.comment()
        await waiting.head()
        pid = await gateway.engine_pid()
        gateway.signal()
        assert checked_error((await waiting.rest())[-1])["code"] == "shutting_down"
        assert checked_error((await commented.rest())[-1])["code"] == "shutting_down"
        assert await gateway.exit_status() == 0
        assert not psutil.pid_exists(pid)


async def test_streams_that_outlast_shutdown_timeout_are_told(journal: Journal) -> None:
    server = {"shutdown_timeout": 0.3, "engine_stop_timeout": 0.3}
    async with started(journal, stall_at=2, server=server) as gateway:
        client = await streaming(gateway)
        pid = await gateway.engine_pid()
        gateway.signal()
        [error] = await client.rest()
        assert checked_error(error)["code"] == "engine_broke"
        assert await client.closed()
        assert await gateway.exit_status() == 0
        assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("deaf", [0, 1])
async def test_a_second_signal_ends_at_once(journal: Journal, deaf: int) -> None:
    """This holds for an engine that ignores SIGTERM, too, with any timeouts."""
    server = {"shutdown_timeout": 600, "engine_stop_timeout": 600}
    async with started(journal, stall_at=2, deaf=deaf, server=server) as gateway:
        client = await streaming(gateway)
        pid = await gateway.engine_pid()
        gateway.signal()
        await gateway.until_closing()
        assert is_running(pid)
        gateway.signal(signal.SIGINT)
        [error] = await client.rest()
        assert checked_error(error)["code"] == "engine_broke"
        assert await gateway.exit_status() == 1
        assert not psutil.pid_exists(pid)
        assert "Traceback" not in gateway.said


async def test_a_second_signal_while_a_deaf_engine_stops(journal: Journal) -> None:
    async with started(journal, deaf=1, server={"engine_stop_timeout": 600}) as gateway:
        assert (await gateway.chat()).status == 200
        pid = await gateway.engine_pid()
        gateway.signal()
        await journal.wait("sigterm")
        gateway.signal()
        assert await gateway.exit_status() == 1
        assert not psutil.pid_exists(pid)


# -- killed -----------------------------------------------------------------------------------


async def test_a_killed_gateway_takes_its_engine_along(journal: Journal) -> None:
    async with started(journal, load_seconds=0.1) as gateway:
        assert (await gateway.chat()).status == 200
        pid = await gateway.engine_pid()
        gateway.signal(signal.SIGKILL)
        await gateway.exit_status()
        await until_gone(pid)
        # Its record is cleared away by the next start, which harms nobody.
        async with started(journal, name="next") as successor:
            assert (await successor.chat()).status == 200
            assert len(list((journal.path.parent / "state").glob("engines-*.json"))) == 1


def wrapper(folder: Path) -> str:
    """The script does not exec its engine, so the engine is a grandchild."""
    script = folder / "wrapper.sh"
    script.write_text(f'#!/bin/sh\n"{LLAMA_SERVER}" "$@"\nexit $?\n')
    script.chmod(0o755)
    return str(script)


async def test_what_a_killed_gateway_left_is_ended_at_the_next_start(
    journal: Journal, tmp_path: Path
) -> None:
    async with started(journal, binary=wrapper(tmp_path)) as gateway:
        assert (await gateway.chat()).status == 200
        pid = await gateway.engine_pid()
        gateway.signal(signal.SIGKILL)
        await gateway.exit_status()
    assert is_running(pid), "the wrapper died with the gateway, its child could not know"
    async with started(journal, name="next") as successor:
        await until_gone(pid)
        assert (await successor.chat()).status == 200
        assert "left behind" in successor.said


async def test_a_wrapped_engine_is_stopped_with_the_gateway(
    journal: Journal, tmp_path: Path
) -> None:
    async with started(journal, binary=wrapper(tmp_path)) as gateway:
        assert (await gateway.chat()).status == 200
        pid = await gateway.engine_pid()
        gateway.signal()
        assert await gateway.exit_status() == 0
        assert not is_running(pid)


async def test_an_engine_of_another_living_gateway_is_untouched(journal: Journal) -> None:
    async with started(journal) as gateway:
        assert (await gateway.chat()).status == 200
        pid = await gateway.engine_pid()
        async with started(journal, name="other") as other:
            assert (await other.chat()).status == 200
            assert is_running(pid)
            other.signal()
            assert await other.exit_status() == 0
        assert is_running(pid)
        assert (await gateway.chat()).status == 200
        assert len(gateway.starts()) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"gateway": 7}', b"\xff\x00"])
async def test_a_corrupted_record_is_harmless(journal: Journal, content: bytes) -> None:
    state = journal.path.parent / "state"
    state.mkdir()
    (state / "engines-1-1.00.json").write_bytes(content)
    async with started(journal) as gateway:
        assert not (state / "engines-1-1.00.json").exists()
        gateway.signal()
        assert await gateway.exit_status() == 0
        assert "Traceback" not in gateway.said


async def test_an_unwritable_state_folder_is_no_reason_not_to_serve(
    journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    server = {"state_dir": str(tmp_path / "file" / "state")}
    async with started(journal, server=server) as gateway:
        assert (await gateway.chat()).status == 200
        assert "cannot be written" in gateway.said


# -- the command line -------------------------------------------------------------------------


async def test_a_faulty_configuration(tmp_path: Path) -> None:
    file = tmp_path / "bad.cfg.lua"
    file.write_text("server = { engine_idle_timout = 5 }\nmodels = {}\n")
    for more in ([], ["--check"]):
        status, said = await outcome("-c", str(file), *more, folder=tmp_path)
        assert status == 2
        assert "did you mean engine_idle_timeout?" in said
        assert "Traceback" not in said


async def test_a_syntax_error(tmp_path: Path) -> None:
    file = tmp_path / "bad.cfg.lua"
    file.write_text("server = {\n  oops oops\n}\n")
    status, said = await outcome("-c", str(file), folder=tmp_path)
    assert status == 2
    assert "bad.cfg.lua:2:" in said
    assert "Traceback" not in said


async def test_an_interrupt_while_lua_computes_leaves_nothing(tmp_path: Path) -> None:
    began = tmp_path / "began"
    file = tmp_path / "gateway.cfg.lua"
    file.write_text(
        f"""
        local file = io.open("{began}.new", "w")
        file:write(loader.tmpdir)
        file:close()
        os.rename("{began}.new", "{began}")
        while true do end
        """
    )
    process = await run("-c", str(file), log=tmp_path / "log")
    await until(began.exists)
    [lua] = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 130
    assert (tmp_path / "log").read_text() == ""
    assert not Path(began.read_text()).exists()
    await until_gone(lua.pid)


async def test_a_missing_configuration(tmp_path: Path) -> None:
    status, said = await outcome("-c", str(tmp_path / "none.cfg.lua"), folder=tmp_path)
    assert status == 2
    assert "none.cfg.lua" in said
    assert "Traceback" not in said


async def test_a_port_in_use(journal: Journal, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        file = tmp_path / "gateway.cfg.lua"
        file.write_text(config(journal, port))
        status, said = await outcome("-c", str(file), folder=tmp_path)
    # Not that of a faulty configuration: trying again may help.
    assert status == 69
    assert f"server.listen_v4: cannot listen on 127.0.0.1:{port}" in said
    assert "in use" in said
    assert "Traceback" not in said


async def test_check_version_and_help(journal: Journal, tmp_path: Path) -> None:
    file = tmp_path / "gateway.cfg.lua"
    model = tmp_path / "m.gguf"
    model.touch()
    text = config(journal, quiet_port()).replace('"m.gguf"', f'"{model}"')
    file.write_text(text)
    status, said = await outcome("-c", str(file), "--check", folder=tmp_path)
    assert (status, said) == (0, f"{file}: valid, 1 model(s), 1 variant(s)\n")
    file.write_text(text.replace("256", "512", 1))
    status, said = await outcome("-c", str(file), "--check", folder=tmp_path)
    assert status == 0
    assert "warning: m@512.context: 512, but a slot of the engine has 256 tokens: -c 256\n" in said
    model.unlink()
    status, said = await outcome("-c", str(file), "--check", folder=tmp_path)
    assert status == 2
    assert f'{file}: 1 fault\nm@512.args: the file "{model}" does not exist\n' in said
    status, said = await outcome("--version", folder=tmp_path)
    assert status == 0
    assert said.startswith("llm-gateway ")
    status, said = await outcome("--help", folder=tmp_path)
    assert status == 0
    assert "--config FILE" in said
    status, said = await outcome("--check", folder=tmp_path)
    assert status == 2
    assert "--check needs a configuration: -c FILE" in said
    assert not journal.events()


@pytest.mark.parametrize("options", [["--check"], []])
async def test_a_port_that_does_not_exist(
    journal: Journal, tmp_path: Path, options: list[str]
) -> None:
    file = tmp_path / "gateway.cfg.lua"
    file.write_text(config(journal, quiet_port()).replace('"-np"', '"--port", 99999, "-np"'))
    status, said = await outcome("-c", str(file), *options, folder=tmp_path)
    assert status == 2
    assert "m@256: the engine would listen at http://127.0.0.1:99999; expected a port" in said
    assert "Traceback" not in said


async def test_the_start_says_what_is_served(journal: Journal) -> None:
    async with started(journal) as gateway:
        await until(lambda: "gateway.server  model m: 256\n" in gateway.said)


async def test_the_log_tells_one_line_a_request_and_what_engines_say(journal: Journal) -> None:
    async with started(journal) as gateway:
        assert (await gateway.chat("hello")).status == 200
        await until(lambda: "POST /v1/chat/completions 200" in gateway.said)
        lines = [line for line in gateway.said.splitlines() if "POST" in line]
        assert len(lines) == 1
        assert "gateway.engine.m@256" in gateway.said
        assert "model loaded" in gateway.said
        assert "hello" not in gateway.said
