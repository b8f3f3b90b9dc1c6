"""Engines that hang are noticed and replaced; clients are told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from engines import running_engine
from gateway import PATIENT, fake_model, fake_variant, hang, running_gateway, until
from gateway_client import CHAT
from raw_client import text_of

from engine.process.health import HealthChecks
from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from utils.errors import EngineUnresponsive

if TYPE_CHECKING:
    from fake_engine import Journal
    from gateway import Gateway

# A look at a stopped process costs its whole time-out; one at a starved one must not.
BRISK = replace(PATIENT, health_check=1.5, stop=0.2)
OFTEN: dict[str, Any] = {"health_check_interval": 0.05, "health_check_failures": 2}


async def hang_engine(gw: Gateway) -> None:
    """Make the engine that was started last hang."""
    await hang(gw.journal.events("start", who="llama-server")[-1]["pid"])


# -- one engine -------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["503", "500"])
async def test_an_engine_that_fails_its_looks_is_reported_once(
    journal: Journal, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    variant = fake_variant(journal, health=f"ok,{step},{step},ok,{step},{step},{step}")
    async with running_engine(journal, variant, checks=HealthChecks(0.01, 3)) as run:
        told = await run.reported(ev.EngineUnhealthy)
        assert isinstance(told, ev.EngineUnhealthy)
        assert isinstance(told.error, EngineUnresponsive)
        assert "none of its last 3 health checks" in told.error.message
        # Requests are not counted: the first may come before the engine is ready.
        assert re.findall(r"health check, (\d) in a row", caplog.text) == ["1", "2", "1", "2"]
        of_health = [e for e in run.reports if not isinstance(e, ev.EngineMeasured)]
        assert list(map(type, of_health)) == [ev.EngineReady, ev.EngineUnhealthy]
        run.process.stop()  # as the scheduler orders
        await run.ended()
        assert run.process.ended == "it answered none of its last 3 health checks"


async def test_without_an_interval_nobody_looks(journal: Journal) -> None:
    variant = fake_variant(journal, health="ok,503")
    async with running_engine(journal, variant, checks=HealthChecks(0.0)) as run:
        await run.reported(ev.EngineReady)
        seen = len(journal.events("request", path="/health"))
        assert not await run.process.gone(0.1)
        assert len(journal.events("request", path="/health")) == seen


async def test_a_look_has_a_connection_of_its_own(journal: Journal) -> None:
    checks: dict[str, Any] = {"health_check_interval": 0.01}
    async with running_gateway(journal, fake_model(fake_variant(journal)), **checks) as gw:
        await gw.chat()
        seen = len(journal.events("request", path="/health"))
        await until(lambda: len(journal.events("request", path="/health")) > seen + 5)
        looks = journal.events("request", path="/health")
        # The gateway closes it: the port of an engine that did would be in TIME_WAIT.
        assert {look["headers"]["connection"] for look in looks} == {"keep-alive"}
        [engine] = journal.events("listening")
        open_now = psutil.Process().net_connections("tcp")
        ends = [each.raddr for each in open_now if each.status == psutil.CONN_ESTABLISHED]
        # That of the chat, and of a look or two, but not of each look.
        assert sum(end.port == engine["port"] for end in ends) < len(looks)
        assert (await gw.health())["engines"][0]["active"] == 0


# -- a whole gateway --------------------------------------------------------------------------


async def test_a_hung_engine_without_requests_is_replaced_by_the_next(journal: Journal) -> None:
    model = fake_model(fake_variant(journal, timeouts=BRISK))
    async with running_gateway(journal, model, **OFTEN) as gw:
        assert (await gw.chat()).status == 200
        await hang_engine(gw)
        await gw.until_state(State.BACKOFF)
        [engine] = (await gw.health())["engines"]
        assert "hangs" in engine["reason"]
        assert (await gw.chat("again")).text.startswith("again.0")
        assert len(gw.starts()) == 2


async def test_requests_on_a_hung_engine_and_behind_it_get_a_fresh_one(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=BRISK, stall_at="request", times=1)
    async with running_gateway(journal, fake_model(variant), **OFTEN) as gw:
        served = await gw.stream("served")
        await until(gw.engine_requests)
        waiting = await gw.stream("waiting")
        await gw.until_waiting(1)
        await hang_engine(gw)
        for client, word in ((served, "served"), (waiting, "waiting")):
            *events, _ = await (await client.head()).rest()
            assert text_of(events).startswith(f"{word}.0")
        assert len(gw.starts()) == 2


async def test_a_stream_that_has_begun_is_told(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=BRISK, stall_at=1)
    async with running_gateway(journal, fake_model(variant), **OFTEN) as gw:
        client = await (await gw.stream()).head()
        await client.data()
        await hang_engine(gw)
        error = (await client.rest())[-1]["error"]
        assert error["code"] == "engine_broke"
        assert "none of its last 2 health checks" in error["message"]


async def test_after_two_stalled_engines_the_client_gets_an_error(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=BRISK, stall_at="request", health="ok,503,503")
    async with running_gateway(journal, fake_model(variant), **OFTEN) as gw:
        error = (await gw.chat()).error(502, "engine_unreachable")
        assert "none of its last 2 health checks" in error["message"]
        assert len(gw.engine_requests(CHAT)) == 2


async def test_an_engine_that_streams_lives_whatever_its_health_says(journal: Journal) -> None:
    steps = ",".join(["ok", *["503"] * 200])
    variant = fake_variant(journal, timeouts=BRISK, token_delay=0.02, health=steps)
    # It would be stopped 1.5 s after its last token.
    checks: dict[str, Any] = {"health_check_interval": 0.1, "health_check_failures": 15}
    async with running_gateway(journal, fake_model(variant), **checks) as gw:
        client = await (await gw.stream(max_tokens=120)).head()
        assert (await client.rest())[-1] == "[DONE]"
        assert len(gw.starts()) == 1
        # Silent from now on, it is not spared.
        await gw.until_state(State.BACKOFF)


async def test_a_hung_engine_does_not_hold_up_the_drain(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=BRISK, stall_at=1)
    async with running_gateway(journal, fake_model(variant), **OFTEN) as gw:
        client = await (await gw.stream()).head()
        await client.data()
        await hang_engine(gw)
        # Long before its time is over: the engine is found to hang in DRAINING, and stopped.
        await gw.manager.drain(3600.0)
        assert gw.state() is State.STOPPED
        assert (await client.rest())[-1]["error"]["code"] == "engine_broke"


# -- its computing hangs, and its health answers ------------------------------------------------


# The limit is looked for five times within it.
STALLING = replace(PATIENT, stall=1.0, stop=0.2)


async def test_an_engine_whose_computing_hangs_is_replaced(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=STALLING, stall_at="headers", times=1)
    async with running_gateway(journal, fake_model(variant), health_check_interval=0) as gw:
        client = await (await gw.stream("served")).head()
        *events, _ = await client.rest()
        assert text_of(events).startswith("served.0")
        assert len(gw.starts()) == 2


async def test_an_answer_that_has_begun_tells_that_the_computing_hangs(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=STALLING, stall_at=2)
    async with running_gateway(journal, fake_model(variant)) as gw:
        client = await (await gw.stream()).head()
        error = (await client.rest())[-1]["error"]
        assert error["code"] == "engine_broke"
        assert "nothing moved on its requests for 1 s (stall_timeout)" in error["message"]


async def test_a_long_prompt_whose_counters_move_is_waited_for(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=STALLING, prefill_seconds=2.2)
    async with running_gateway(journal, fake_model(variant)) as gw:
        assert (await gw.chat()).status == 200
        assert len(gw.starts()) == 1
        assert journal.events("request", path="/slots")


async def test_an_engine_that_hides_its_slots_is_waited_for(journal: Journal) -> None:
    variant = fake_variant(journal, timeouts=STALLING, prefill_seconds=2.2, hides_slots=True)
    async with running_gateway(journal, fake_model(variant)) as gw:
        assert (await gw.chat()).status == 200
        assert len(gw.starts()) == 1


async def test_keep_alive_comments_of_an_engine_that_hangs_are_no_answer(journal: Journal) -> None:
    """A slot is at work, its counters stand still, and only comments come."""
    variant = fake_variant(
        journal, timeouts=STALLING, prefill_seconds=60, ping_seconds=0.05, frozen_slots=True
    )
    async with running_gateway(journal, fake_model(variant)) as gw:
        await gw.stream()
        await gw.until_state(State.BACKOFF)
        [engine] = (await gw.health())["engines"]
        assert "hangs: nothing moved" in engine["reason"]
