"""One engine process: its start, its exit, and how it is stopped."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest
from engines import running_engine
from fake_engine import FAKES, LLAMA_SERVER, Journal
from gateway import PATIENT, fake_variant, is_running, until
from ports import quiet_port

from engine.process.log_tail import KEPT_LINES
from engine.scheduling import events as ev
from utils.errors import EngineStartTimeout

if TYPE_CHECKING:
    from pathlib import Path

    from engine.process.engine_process import EngineProcess


def pid_of(process: EngineProcess) -> int:
    assert process.pid is not None
    return process.pid


# -- the start --------------------------------------------------------------------------------


async def test_a_slow_load_is_waited_for(journal: Journal) -> None:
    variant = fake_variant(journal, bind_seconds=0.1, load_seconds=0.2)
    async with running_engine(journal, variant) as run:
        await journal.wait("listening")
        assert not run.reports
        ready = await run.reported(ev.EngineReady)
        assert isinstance(ready, ev.EngineReady)
        assert ready.engine == 7
        assert journal.events("ready")
        assert run.process.ready_at == ready.now
        assert len(run.reports) == 1


async def test_a_start_over_its_limit_is_killed_and_told(journal: Journal) -> None:
    # Long enough for the first line of its log on a busy machine.
    limited = replace(PATIENT, startup=2.0)
    async with running_engine(
        journal, fake_variant(journal, load_seconds=60, timeouts=limited)
    ) as run:
        unhealthy = await run.reported(ev.EngineUnhealthy)
        assert isinstance(unhealthy, ev.EngineUnhealthy)
        assert isinstance(unhealthy.error, EngineStartTimeout)
        assert "m@256" in unhealthy.error.message
        assert "(2 s)" in unhealthy.error.message
        assert "loading model" in unhealthy.error.message
        run.process.stop()  # as the scheduler orders
        await run.ended()
        assert not is_running(pid_of(run.process))


async def test_a_port_that_never_opens_is_a_start_over_its_limit(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=replace(PATIENT, startup=0.3), never_listen=1)
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineUnhealthy)
        run.process.stop()
        await run.ended()


async def test_an_exit_while_starting_is_seen_at_once_with_its_reason(journal: Journal) -> None:
    line = "llama_model_load: error loading model: no such file"
    variant = fake_variant(journal, exit_code=3, exit_line=line, log_lines=20)
    async with running_engine(journal, variant) as run:
        exited = await run.ended()
        assert exited.reason == f"exit status 3: {line}"
        assert run.reports == [exited]
        assert exited.now - run.process.started_at < PATIENT.startup / 2


async def test_a_binary_that_cannot_be_run(journal: Journal, tmp_path: Path) -> None:
    async with running_engine(journal, fake_variant(journal, binary="/no/such/engine")) as run:
        assert "/no/such/engine" in (await run.ended()).reason
    script = tmp_path / "broken"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    async with running_engine(journal, fake_variant(journal, binary=str(script))) as run:
        assert str(script) in (await run.ended()).reason


async def test_a_stranger_on_the_port_is_named(journal: Journal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        variant = fake_variant(journal, args=("--port", str(port)))
        async with running_engine(journal, variant) as run:
            reason = (await run.ended()).reason
            assert f"port {port} is in use by another process" in reason
            assert not journal.events("start"), "the stranger would pass for the engine"


@pytest.mark.parametrize("steps", ["500,503,close,ok", "hang,ok"])
async def test_flapping_health_is_ready_when_it_says_so(journal: Journal, steps: str) -> None:
    variant = fake_variant(journal, health=steps, timeouts=replace(PATIENT, health_check=0.5))
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        asked = journal.events("request", path="/health")
        assert len(asked) >= len(steps.split(","))
        # The engine is not to close first: its port would be in TIME_WAIT.
        assert {each["headers"]["connection"] for each in asked} == {"keep-alive"}
        # Ready is said once and never taken back by a probe.
        assert len(run.reports) == 1


# -- what the child is given ------------------------------------------------------------------


async def test_the_child_gets_its_arguments_environment_and_group(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/theirs")
    monkeypatch.setenv("LLAMA_ARG_FROM_OUTSIDE", "kept")
    variant = fake_variant(journal, env={"LLAMA_ARG_THREADS": "3"}, args=("--jinja",))
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        [start] = journal.events("start")
        assert start["env"]["LD_LIBRARY_PATH"] == f"{FAKES}{os.pathsep}/opt/theirs"
        assert start["env"]["DYLD_LIBRARY_PATH"].split(os.pathsep)[0] == str(FAKES)
        assert start["env"]["LLAMA_ARG_THREADS"] == "3"
        assert start["env"]["LLAMA_ARG_FROM_OUTSIDE"] == "kept"
        assert start["pgid"] == start["pid"] == run.process.pid
        assert start["ppid"] == os.getpid()
        argv = start["argv"]
        assert argv[: len(variant.args)] == list(variant.args)
        assert argv[argv.index("--alias") + 1] == "m"
        assert argv[argv.index("--host") + 1] == "127.0.0.1"
        assert "--port" in argv


@pytest.mark.parametrize("given", [("--alias", "mine"), ("-a", "mine")])
async def test_what_the_user_gave_is_not_overridden(
    journal: Journal, given: tuple[str, str]
) -> None:
    port = quiet_port()
    own = (*given, "--port", str(port), "--host", "localhost")
    async with running_engine(journal, fake_variant(journal, args=own)) as run:
        await run.reported(ev.EngineReady)
        [start] = journal.events("start")
        assert start["argv"] == list(fake_variant(journal, args=own).args)
        assert run.process.client.url == f"http://localhost:{port}"


# -- what it says -----------------------------------------------------------------------------


async def test_huge_logs_do_not_block_the_engine(journal: Journal) -> None:
    variant = fake_variant(journal, log_lines=20_000, log_line_bytes=120, log_junk=1)
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        assert len(run.process.output.tail) == KEPT_LINES


async def test_one_endless_line_does_not_block_the_engine(journal: Journal) -> None:
    variant = fake_variant(journal, log_lines=1, log_line_bytes=3_000_000)
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        assert max(map(len, run.process.output.tail)) <= 4096


async def test_the_last_lines_are_kept_and_all_are_logged(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    variant = fake_variant(journal, log_lines=200, exit_code=1, exit_line="the last line")
    async with running_engine(journal, variant) as run:
        await run.ended()
        assert len(run.process.output.tail) == KEPT_LINES
        assert run.process.output.tail[-1] == "the last line"
        logged = [record for record in caplog.records if record.name == "gateway.engine.m@256"]
        assert len(logged) == 202


# -- the end ----------------------------------------------------------------------------------


async def test_stop_is_a_polite_signal_and_a_reaped_child(journal: Journal) -> None:
    async with running_engine(journal, fake_variant(journal, stop_seconds=0.1)) as run:
        await run.reported(ev.EngineReady)
        run.process.stop()
        run.process.stop()
        exited = await run.ended()
        assert exited.reason == "exit status 0"
        assert len(journal.events("sigterm")) == 1
        assert not psutil.pid_exists(pid_of(run.process))


async def test_deaf_to_sigterm_is_killed_after_engine_stop_timeout(journal: Journal) -> None:
    variant = fake_variant(journal, deaf=1, timeouts=replace(PATIENT, stop=1.0))
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        run.process.stop()
        await journal.wait("sigterm", deaf=True)
        assert (await run.ended()).reason == "signal 9"


async def test_stop_while_it_loads(journal: Journal) -> None:
    async with running_engine(journal, fake_variant(journal, load_seconds=60)) as run:
        await journal.wait("listening")
        run.process.stop()
        await run.ended()
        assert not [event for event in run.reports if isinstance(event, ev.EngineReady)]


async def test_stop_before_it_was_spawned(journal: Journal) -> None:
    async with running_engine(journal, fake_variant(journal)) as run:
        run.process.stop()
        await run.ended()
        assert len(run.reports) == 1


async def test_kill_does_not_wait(journal: Journal) -> None:
    async with running_engine(journal, fake_variant(journal, deaf=1)) as run:
        await run.reported(ev.EngineReady)
        run.process.kill()
        await run.ended()
        assert not journal.events("exit")


@pytest.mark.parametrize("grandchild", ["1", "deaf"])
async def test_a_grandchild_dies_with_the_group(journal: Journal, grandchild: str) -> None:
    variant = fake_variant(journal, grandchild=grandchild, timeouts=replace(PATIENT, stop=0.2))
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        [event] = journal.events("grandchild")
        assert is_running(event["child"])
        run.process.stop()
        await run.ended()
        await until(lambda: not is_running(event["child"]))


async def test_a_grandchild_dies_with_a_leader_that_crashed(journal: Journal) -> None:
    variant = fake_variant(journal, grandchild="deaf", idle_death_seconds=0)
    async with running_engine(journal, variant) as run:
        await run.ended()
        [event] = journal.events("grandchild")
        await until(lambda: not is_running(event["child"]))


async def test_a_crash_while_idle_is_noticed_at_once(journal: Journal) -> None:
    async with running_engine(journal, fake_variant(journal)) as run:
        await run.reported(ev.EngineReady)
        os.kill(pid_of(run.process), signal.SIGKILL)
        exited = await run.ended()
        assert exited.reason.startswith("signal 9")


async def test_of_a_kill_from_outside_no_older_complaint_is_the_reason(
    journal: Journal,
) -> None:
    """The line may be about another client's request."""
    variant = fake_variant(journal, load_text="error: an invalid request")
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        os.kill(pid_of(run.process), signal.SIGKILL)
        assert (await run.ended()).reason == "signal 9"


async def test_a_wrapper_script_is_stopped_with_its_engine(
    journal: Journal, tmp_path: Path
) -> None:
    script = tmp_path / "wrapper.sh"
    script.write_text(f'#!/bin/sh\n"{LLAMA_SERVER}" "$@"\nexit $?\n')
    script.chmod(0o755)
    # The shell ends at once, its engine takes its time: neither is reported gone before both are.
    variant = fake_variant(journal, binary=str(script), stop_seconds=0.3)
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineReady)
        [start] = journal.events("start")
        assert start["pid"] != run.process.pid
        assert start["pgid"] == run.process.pid
        run.process.stop()
        await run.ended()
        assert not is_running(start["pid"])
        assert journal.events("exit", pid=start["pid"]), "it ended by itself, unkilled"


async def test_a_slot_that_is_smaller_than_the_context_is_told_when_it_is_ready(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    line = "m@256 has 100 tokens in a slot, but its context is 256: see -c and -np"
    async with running_engine(journal, fake_variant(journal, REAL_CTX=100)):
        await until(lambda: line in caplog.text)


@pytest.mark.parametrize("real", [0, 512])
async def test_a_slot_that_is_large_enough_is_fine(journal: Journal, real: int) -> None:
    async with running_engine(journal, fake_variant(journal, REAL_CTX=real)) as run:
        await run.reported(ev.EngineReady)
        assert await run.process.client.unlike() == []
