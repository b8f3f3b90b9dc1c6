"""A reload keeps streams, and no request sees half of a configuration."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from builders import TYPES, model, variant
from gateway import Gateway, fake_model, fake_tokenizer, fake_variant, running_gateway, until
from gateway_client import CHAT
from raw_client import RawClient, post, text_of

from engine.scheduling.lifecycle import State
from models.catalog import Catalog
from server.admin.reload import Reloader
from server.configuration import Configuration, CurrentConfiguration
from utils.config.settings import ServerSettings
from utils.errors import ConfigError, ShuttingDown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fake_engine import Journal

    from engine.scheduling.eviction import Limits
    from models.spec import ModelSpec

LONG = 40


async def reload(gateway: Gateway, *models: ModelSpec, **settings: Any) -> dict[str, Any]:
    gateway.following.catalog = Catalog(models)
    gateway.following.settings = replace(gateway.following.settings, **settings)
    return await gateway.reloader.reload()


async def streaming(gateway: Gateway, **fields: Any) -> RawClient:
    """Open a stream, of which two tokens have come and many follow, see ``goes_on``."""
    client = await (await gateway.stream("alpha", max_tokens=LONG, **fields)).head()
    assert text_of([await client.data() for _ in range(3)]) == "alpha.0 alpha.1"
    return client


async def goes_on(gateway: Gateway, client: RawClient) -> None:
    """Check that all of the rest of the stream comes, and nothing else."""
    gateway.journal.let_go("3")
    *events, done = await client.rest()
    assert text_of(events).split() == [f"alpha.{number}" for number in range(2, LONG)]
    assert done == "[DONE]"


def args_of(journal: Journal) -> list[list[str]]:
    return [event["argv"] for event in journal.events("start", who="llama-server")]


# -- engines and their streams ----------------------------------------------------------------


async def test_a_stream_goes_on_while_models_come(journal: Journal) -> None:
    first = fake_model(fake_variant(journal, hold="3"))
    other = fake_model(fake_variant(journal, model="n"), aliases=("new",))
    async with running_gateway(journal, first) as gw:
        client = await streaming(gw)
        assert (await gw.chat(model="new")).status == 404
        found = await reload(gw, first, other)
        assert found["models"] == {"added": ["n"], "removed": [], "changed": {}}
        assert gw.state() is State.READY
        await goes_on(gw, client)
        assert len(gw.starts()) == 1
        assert (await gw.chat(model="new")).status == 200
        listed = (await gw.request("GET", "/v1/models")).json["data"]
        assert [entry["id"] for entry in listed] == ["m", "n", "new"]


async def test_a_changed_engine_ends_with_its_stream_and_the_next_request_has_the_new_one(
    journal: Journal,
) -> None:
    before = fake_model(fake_variant(journal, hold="3"))
    after = fake_model(fake_variant(journal, args=("--alias", "new")))
    async with running_gateway(journal, before) as gw:
        client = await streaming(gw)
        found = await reload(gw, after)
        assert found["variants"]["redefined"] == {"m@256": ["args", "env"]}
        states = [record.state for record in gw.manager.records()]
        assert states == [State.STOPPED, State.DRAINING]
        [shown] = (await gw.health())["engines"]
        assert (shown["state"], shown["active"]) == ("draining", 1)
        waiting = asyncio.get_running_loop().create_task(gw.chat())
        await gw.until_waiting(1)
        await goes_on(gw, client)
        assert (await waiting).status == 200
        assert [("new" in argv) for argv in args_of(journal)] == [False, True]
        assert (await gw.chat()).status == 200
        assert len(gw.starts()) == 2


async def test_a_model_that_is_gone(journal: Journal) -> None:
    gone = fake_model(fake_variant(journal, hold="3"))
    stays = fake_model(fake_variant(journal, model="n"))
    async with running_gateway(journal, gone, stays) as gw:
        client = await streaming(gw, model="m")
        waiting = asyncio.get_running_loop().create_task(gw.chat(model="m"))
        await gw.until_waiting(1)
        await reload(gw, stays)
        error = (await waiting).error(404, "model_not_found")
        assert "The configuration was changed" in error["message"]
        (await gw.chat(model="m")).error(404, "model_not_found")
        await goes_on(gw, client)
        assert (await gw.chat(model="n")).status == 200
        assert [r.variant.label for r in gw.manager.records()] == ["n@256"]


async def test_a_starting_engine_that_is_changed_keeps_nobody_waiting(journal: Journal) -> None:
    slow = fake_model(fake_variant(journal, load_seconds=600))
    quick = fake_model(fake_variant(journal))
    async with running_gateway(journal, slow) as gw:
        waiting = asyncio.get_running_loop().create_task(gw.chat())
        await journal.wait("listening")
        await reload(gw, quick)
        assert (await waiting).status == 200


async def test_a_request_that_is_still_being_read_gets_what_is_configured_then(
    journal: Journal,
) -> None:
    """It read the old configuration of its model, and gets an engine of the new one."""
    before = fake_model(fake_variant(journal), fake_variant(journal, 512))
    after = fake_model(fake_variant(journal, 512, args=("--alias", "new")))
    async with running_gateway(journal, before) as gw:
        body = b'{"messages":[{"role":"user","content":"alpha"}],"max_tokens":4}'
        whole = post(CHAT, body)
        client = await gw.connect()
        await client.send(whole[:-10])
        assert (await gw.health())["status"] == "ok"
        await reload(gw, after)
        await client.send(whole[-10:])
        await client.head()
        assert client.status == 200
        assert client.headers["x-gateway-variant"] == "m@512"


async def test_times_change_without_a_restart(journal: Journal) -> None:
    first = fake_variant(journal)
    async with running_gateway(journal, fake_model(first)) as gw:
        assert (await gw.chat()).status == 200
        found = await reload(
            gw, fake_model(replace(first, timeouts=replace(first.timeouts, idle=0.01)))
        )
        assert found["variants"]["adjusted"] == {"m@256": ["timeouts"]}
        await gw.until_state(State.STOPPED)
        assert len(gw.starts()) == 1


async def test_counts_of_an_engine_that_was_changed_meanwhile_are_not_learnt(
    journal: Journal,
) -> None:
    def made(*args: str) -> ModelSpec:
        variants = fake_variant(journal, hold="3", args=args), fake_variant(journal, 512)
        return fake_model(*variants, tokenization=fake_tokenizer(journal))

    async with running_gateway(journal, made()) as gw:
        client = await streaming(gw, stream_options={"include_usage": True})
        await reload(gw, made("--alias", "new"))
        journal.let_go("3")
        *_, done = await client.rest()
        assert done == "[DONE]"
        answer = await gw.chat("alpha", max_tokens=LONG)
        assert "source=cache" not in answer.headers["x-gateway-prompt-tokens"]
        answer = await gw.chat("alpha", max_tokens=LONG)
        assert "source=cache" in answer.headers["x-gateway-prompt-tokens"]


# -- settings ---------------------------------------------------------------------------------


async def test_settings_hold_for_the_next_request(journal: Journal) -> None:
    first = fake_model(fake_variant(journal))
    origin = {"Origin": "https://page.example"}
    async with running_gateway(journal, first) as gw:
        (await gw.post(b"{}", headers=origin)).error(403, "origin_not_allowed")
        found = await reload(
            gw, first, cors_origins=("https://page.example",), max_request_bytes=200
        )
        assert found["settings"] == {
            "max_request_bytes": "67108864 → 200",
            "cors_origins": "changed",
        }
        answer = await gw.chat(headers=origin)
        assert answer.status == 200
        (await gw.chat("w" * 200)).error(413, "request_too_large")


async def test_what_needs_a_restart_is_said_each_time(journal: Journal) -> None:
    first = fake_model(fake_variant(journal))
    async with running_gateway(journal, first) as gw:
        away = {"listen_v4": "none", "state_dir": "/elsewhere", "max_queue": 3}
        once, again = [await reload(gw, first, **away) for _ in range(2)]
        assert once["needs_restart"] == again["needs_restart"] == ["listen_v4", "state_dir"]
        assert (once["settings"], again["settings"]) == ({"max_queue": "64 → 3"}, {})
        assert (await gw.chat()).status == 200


async def test_a_dry_run_changes_nothing(journal: Journal) -> None:
    first, other = fake_model(fake_variant(journal)), fake_model(fake_variant(journal, model="n"))
    async with running_gateway(journal, first) as gw:
        assert (await gw.chat()).status == 200
        gw.following.catalog = Catalog([other])
        would = await gw.reloader.reload(dry_run=True)
        assert gw.state() is State.READY
        assert (await gw.chat(model="m")).status == 200
        did = await gw.reloader.reload()
        assert (would.pop("dry_run"), did.pop("dry_run")) == (True, False)
        assert would == did


# -- the reloader itself ----------------------------------------------------------------------


class Bench:
    """A reloader whose file the test holds back, and which records its result."""

    def __init__(self, watch: AsyncGenerator[None, None] | None = None) -> None:
        self.loads = 0
        self.going_on = asyncio.Event()
        self.going_on.set()
        self.models = [model()]
        self.fault: Exception | None = None
        configuration = Configuration.of(ServerSettings(), Catalog([model()]), TYPES)
        self.current = CurrentConfiguration(configuration)
        self.told: list[str] = []
        self.reloader = Reloader(self.load, self.current, self, self, watch)  # type: ignore[arg-type]  # what it tells engines and selector is noted here

    async def load(self) -> tuple[ServerSettings, Catalog]:
        self.loads += 1
        await self.going_on.wait()
        if self.fault is not None:
            raise self.fault
        return ServerSettings(log_level="debug"), Catalog(self.models)

    def forget(self, models: tuple[str, ...]) -> None:
        self.told.append(f"forget {', '.join(models)}")

    def prepared(self, catalog: Catalog, kept: frozenset[str], _: Limits) -> str:
        names = ", ".join(each.name for each in catalog.models)
        return f"{names} keeping {', '.join(kept)}"

    def reconfigure(self, prepared: str, *_: Any, **__: Any) -> None:
        self.told.append(prepared)


@pytest.fixture(autouse=True)
def _level() -> Any:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


async def test_engines_and_counts_follow_at_once() -> None:
    bench = Bench()
    bench.models = [model(4096, 8192)]
    await bench.reloader.reload()
    assert bench.told == ["forget m", "m keeping m@4096"]
    assert logging.getLogger().level == logging.DEBUG
    await bench.reloader.reload()
    assert len(bench.told) == 2, "nothing was changed any more"


async def test_of_very_many_changes_the_log_shows_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.models = [model(), *(model(name=f"n{number}") for number in range(500))]
    caplog.set_level(logging.INFO)
    assert len((await bench.reloader.reload())["models"]["added"]) == 500
    assert "model n98: added" in caplog.text
    assert "and 401 more changes" in caplog.text
    assert "n499" not in caplog.text


@pytest.mark.parametrize("fault", [ConfigError("2 faults"), OSError("no more processes")])
async def test_a_fault_changes_nothing_and_does_not_end_the_listening(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    before = bench.current.now
    bench.fault = fault
    with pytest.raises(type(fault)):
        await bench.reloader.reload()
    async with bench.reloader.running():
        bench.reloader.ask()
        await until(lambda: "stays as it was" in caplog.text)
        assert bench.current.now is before
        bench.fault, bench.models = None, [model(name="n")]
        bench.reloader.ask()
        await until(lambda: "n" in bench.current.now.catalog)


async def test_wishes_that_come_during_a_reload_are_one_more() -> None:
    bench = Bench()
    async with bench.reloader.running():
        bench.going_on.clear()
        bench.reloader.ask()
        await until(lambda: bench.loads == 1)
        for _ in range(10):
            bench.reloader.ask()
        bench.models = [model(), model(name="last")]
        bench.going_on.set()
        await until(lambda: "last" in bench.current.now.catalog)
        await until(lambda: bench.loads == 2)
    assert bench.loads == 2


async def test_two_at_once_happen_one_after_the_other() -> None:
    bench = Bench()
    bench.going_on.clear()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(bench.reloader.reload()) for _ in range(2)]
    await until(lambda: bench.loads == 1)
    await asyncio.sleep(0)
    assert bench.loads == 1
    bench.models = [model(name="n")]
    bench.going_on.set()
    first, second = await asyncio.gather(*tasks)
    assert (first["models"]["added"], second["models"]["added"]) == (["n"], [])


async def test_one_whose_client_leaves_happens_not_at_all_and_blocks_no_other() -> None:
    bench = Bench()
    bench.going_on.clear()
    bench.models = [model(name="n")]
    task = asyncio.get_running_loop().create_task(bench.reloader.reload())
    await until(lambda: bench.loads == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not bench.told
    bench.going_on.set()
    assert (await bench.reloader.reload())["models"]["added"] == ["n"]


async def test_after_the_end_nothing_reloads() -> None:
    bench = Bench()
    async with bench.reloader.running():
        pass
    bench.models = [model(name="n")]
    with pytest.raises(ShuttingDown):
        await bench.reloader.reload()
    assert not bench.told


async def test_watched_files_ask_for_a_reload(caplog: pytest.LogCaptureFixture) -> None:
    async def watch() -> AsyncGenerator[None, None]:
        yield
        await until(lambda: "n" in bench.current.now.catalog)
        raise OSError("too many watches")

    async with aclosing(watch()) as events:
        bench = Bench(events)
        bench.models = [model(name="n"), model(name="m", aliases=("x",))]
        async with bench.reloader.running():
            await until(lambda: "is not watched any more: too many watches" in caplog.text)
            bench.models = [replace(model(), variants=(variant(16384),))]
            bench.reloader.ask()
            await until(lambda: len(bench.told) == 4)
