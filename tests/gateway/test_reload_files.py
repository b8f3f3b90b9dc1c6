"""A gateway process whose configuration file changes."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psutil
from fake_engine import LLAMA_SERVER, Journal, faults
from gateway import until
from gateway_child import GatewayProcess, config, gateway_process, lua
from main_process import start
from ports import quiet_port
from raw_client import PATIENCE, RawClient, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LONG = 60


class File:
    """The configuration file of a running gateway."""

    def __init__(self, journal: Journal, port: int, path: Path) -> None:
        self.journal, self.port, self.path = journal, port, path

    def text(self, *names: str, args: tuple[str, ...] = ()) -> str:
        """Write a configuration of "m", whose engine gets ``args``, and these models."""
        text = config(self.journal, self.port, hold=3)
        more = [
            {
                "name": name,
                "variants": [
                    {
                        "context": 256,
                        "binary": LLAMA_SERVER,
                        "args": ["-m", "m.gguf", "-c", 256, "-np", 1],
                        "env": faults(self.journal),
                    }
                ],
            }
            for name in names
        ]
        own = "models[1].variants[1]"
        text += f"for _, m in ipairs({lua(more)}) do models[#models + 1] = m end\n"
        return f"{text}{own}.args = concat_arrays({own}.args, {lua(args)})\n"

    def replace(self, text: str) -> None:
        """Some editors write a new file and rename it to the old name."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.replace(self.path)


@asynccontextmanager
async def started(journal: Journal, *options: str) -> AsyncIterator[tuple[GatewayProcess, File]]:
    port = quiet_port()
    file = File(journal, port, journal.path.parent / "gateway.cfg.lua")
    async with gateway_process(journal, file.text(), port, options=options) as gateway:
        yield gateway, file


async def streaming(gateway: GatewayProcess) -> RawClient:
    client = await (await gateway.stream("alpha", max_tokens=LONG, model="m")).head()
    assert text_of([await client.data() for _ in range(3)]) == "alpha.0 alpha.1"
    return client


async def goes_on(journal: Journal, client: RawClient) -> None:
    journal.let_go("3")
    *events, done = await client.rest()
    assert text_of(events).split() == [f"alpha.{number}" for number in range(2, LONG)]
    assert done == "[DONE]"


async def models(gateway: GatewayProcess) -> list[str]:
    listed = (await gateway.request("GET", "/v1/models")).json["data"]
    return [entry["id"] for entry in listed]


async def test_sighup_adds_a_model_and_a_stream_goes_on(journal: Journal) -> None:
    async with started(journal) as (gateway, file):
        client = await streaming(gateway)
        file.path.write_text(file.text("n"))
        gateway.signal(signal.SIGHUP)
        await until(lambda: "model n: added" in gateway.said)
        assert await models(gateway) == ["m", "n"]
        await goes_on(journal, client)
        assert (await gateway.chat(model="m", max_tokens=2)).status == 200
        assert len(gateway.starts()) == 1
        assert (await gateway.chat(model="n")).status == 200


async def test_sighup_changes_an_engine_after_its_stream(journal: Journal) -> None:
    async with started(journal) as (gateway, file):
        client = await streaming(gateway)
        file.path.write_text(file.text(args=("--alias", "new")))
        gateway.signal(signal.SIGHUP)
        await until(lambda: "variant m@256: args" in gateway.said)
        following = asyncio.get_running_loop().create_task(gateway.chat(max_tokens=2))
        await goes_on(journal, client)
        assert (await following).status == 200
        starts = journal.events("start", who="llama-server")
        assert ["new" in event["argv"] for event in starts] == [False, True]


async def test_a_faulty_file_changes_nothing_and_the_log_says_why(journal: Journal) -> None:
    async with started(journal) as (gateway, file):
        client = await streaming(gateway)
        file.path.write_text('server = { max_quue = 5, listen_v4 = "x" }\nmodels = {}\n')
        gateway.signal(signal.SIGHUP)
        await until(lambda: "the configuration stays as it was" in gateway.said)
        assert "did you mean max_queue?" in gateway.said
        assert "server.listen_v4" in gateway.said
        await goes_on(journal, client)
        file.path.unlink()
        gateway.signal(signal.SIGHUP)
        await until(lambda: "cannot be read" in gateway.said)
        assert (await gateway.chat(max_tokens=2)).status == 200
        assert len(gateway.starts()) == 1
        assert "Traceback" not in gateway.said
        gateway.signal()
        assert await gateway.exit_status() == 0


async def test_sighup_ten_times_in_a_row(journal: Journal) -> None:
    async with started(journal) as (gateway, file):
        client = await streaming(gateway)
        for number in range(10):
            file.replace(file.text(f"n{number}"))
            gateway.signal(signal.SIGHUP)
        await until(lambda: "model n9: added" in gateway.said)
        assert await models(gateway) == ["m", "n9"]
        await goes_on(journal, client)
        assert len(gateway.starts()) == 1
        gateway.signal()
        assert await gateway.exit_status() == 0
        assert "Traceback" not in gateway.said


async def test_what_needs_a_restart_is_named_and_the_rest_applies(journal: Journal) -> None:
    async with started(journal) as (gateway, file):
        text = file.text().replace(f"127.0.0.1:{file.port}", f"127.0.0.1:{quiet_port()}")
        file.path.write_text(text.replace("server = {", "server = { max_queue = 7,"))
        gateway.signal(signal.SIGHUP)
        await until(lambda: "server.listen_v4: needs a restart" in gateway.said)
        assert "server.max_queue: 64 → 7" in gateway.said
        assert (await gateway.chat(max_tokens=2)).status == 200


async def test_the_end_comes_during_a_reload(journal: Journal) -> None:
    async with started(journal) as (gateway, file):
        began = journal.path.parent / "began"
        file.path.write_text(f'io.open("{began}", "w"):close()\nwhile true do end\n')
        gateway.signal(signal.SIGHUP)
        await until(began.exists)
        family = psutil.Process(gateway.process.pid).children(recursive=True)
        gateway.signal()
        assert await gateway.exit_status() == 0
        assert family
        await until(lambda: not any(process.is_running() for process in family))


async def test_watch_sees_each_change_and_survives_half_a_file(journal: Journal) -> None:
    async with started(journal, "--watch") as (gateway, file):
        client = await streaming(gateway)
        file.replace(file.text("n"))
        await until(lambda: "model n: added" in gateway.said)
        file.replace(file.text("n")[:40])
        await until(lambda: "the configuration stays as it was" in gateway.said)
        assert await models(gateway) == ["m", "n"]
        file.path.unlink()
        file.path.write_text(file.text("o"))
        await until(lambda: "model o: added" in gateway.said)
        assert await models(gateway) == ["m", "o"]
        await goes_on(journal, client)
        assert len(gateway.starts()) == 1


async def test_watch_sees_a_file_that_the_configuration_loads(journal: Journal) -> None:
    async with started(journal, "--watch") as (gateway, file):
        part = file.path.with_name("part.lua")
        part.write_text("-- nothing yet\n")
        file.replace(file.text() + "dofile(config_path('part.lua'))\n")
        await until(lambda: "nothing has changed" in gateway.said)
        part.write_text("server.max_queue = 9\n")
        await until(lambda: "server.max_queue: 64 → 9" in gateway.said)


async def test_without_watch_nothing_happens_by_itself(journal: Journal) -> None:
    async with started(journal) as (gateway, file):
        file.replace(file.text("n"))
        file.path.with_name("other.lua").write_text("")
        assert (await gateway.chat(max_tokens=2)).status == 200
        assert await models(gateway) == ["m"]
        gateway.signal(signal.SIGHUP)
        await until(lambda: "model n: added" in gateway.said)


async def test_a_terminal_that_is_closed_ends_the_gateway(journal: Journal) -> None:
    """A closed terminal sends the same signal, but means the end and not a reload."""
    port = quiet_port()
    path = journal.path.parent / "gateway.cfg.lua"
    path.write_text(config(journal, port))
    log = journal.path.parent / "terminal.log"
    terminal, screen = pty.openpty()
    with log.open("wb") as output:
        process = await start("-c", str(path), stdout=output, stderr=output, terminal=screen)
    os.close(screen)
    try:
        await until(lambda: "listening on" in log.read_text())
        process.send_signal(signal.SIGHUP)
        await until(lambda: "nothing has changed" in log.read_text())
    finally:
        os.close(terminal)
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0
    assert "shutting down" in log.read_text()
