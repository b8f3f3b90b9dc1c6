"""memory.py: engines are measured, and starts wait until memory has been freed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from engines import ShiftedClock, running_engine, running_manager
from fake_engine import LLAMA_SERVER, Journal
from fake_meter import FakeMeter
from gateway import fake_model, fake_variant, until

from engine.resources import memory as memory_module
from engine.resources.learnt_store import LearntNeeds
from engine.resources.memory import Memory
from engine.scheduling import events as ev
from engine.scheduling.lifecycle import State
from engine.scheduling.scheduler import Limits
from utils.clock import LoopClock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from engines import Run

    from engine.manager import EngineManager
    from models.spec import VariantSpec

OOM = "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9.00 MiB on device 0: cudaMalloc failed: out of memory"  # noqa: E501 - as it is printed
BUFFERS = """\
load_tensors:        CUDA0 model buffer size =   100.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =    20.00 MiB
"""
MIB = 1024 * 1024


class QuickClock(LoopClock):
    """Return a clock whose waits are short."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


def amounts(run: Run) -> list[dict[str, int]]:
    return [dict(e.amounts) for e in run.reports if isinstance(e, ev.EngineMeasured)]


# -- measuring --------------------------------------------------------------------------------


async def test_an_engine_is_measured_when_it_is_ready_with_all_that_it_started(
    journal: Journal, tmp_path: Path
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\n{LLAMA_SERVER} "$@"\n')
    wrapper.chmod(0o755)
    variant = fake_variant(journal, binary=str(wrapper))
    async with running_engine(journal, variant) as run:
        await run.reported(ev.EngineMeasured)
        # A shell alone has a fraction of what a Python interpreter takes.
        assert amounts(run)[0]["ram"] > 8 * MIB
        assert isinstance(run.reports[0], ev.EngineReady)


async def test_it_is_measured_again_and_told_when_it_changes(journal: Journal) -> None:
    meter = FakeMeter(held={"ram": 5, "gpu0": 7})
    memory = Memory(QuickClock(), probe=meter)
    variant = fake_variant(journal)
    async with running_engine(journal, variant, memory=memory) as run:
        await until(lambda: len(amounts(run)) == 1)
        meter.held = {"ram": 9, "gpu0": 6}
        await until(lambda: len(amounts(run)) == 2)
    assert amounts(run) == [{"ram": 5, "gpu0": 7}, {"ram": 9, "gpu0": 6}]
    assert memory.known(variant) == {"ram": 9, "gpu0": 7}


async def test_what_nobody_measures_is_projected(journal: Journal) -> None:
    memory = Memory(LoopClock(), probe=FakeMeter(held={"ram": 5}))
    variant = fake_variant(journal, load_text=BUFFERS, env={"CUDA_VISIBLE_DEVICES": "1"})
    async with running_engine(journal, variant, memory=memory) as run:
        await run.reported(ev.EngineMeasured)
        assert amounts(run) == [{"ram": 5, "gpu1": 120 * MIB}]


async def test_a_load_that_fails_teaches_the_least_that_is_needed(journal: Journal) -> None:
    memory = Memory(LoopClock(), probe=FakeMeter())
    variant = fake_variant(journal, load_text=BUFFERS, exit_code=1, exit_line=OOM)
    async with running_engine(journal, variant, memory=memory) as run:
        exited = await run.ended()
        assert exited.out_of_memory == "gpu0"
        assert OOM in exited.reason
        assert amounts(run) == [{"gpu0": 120 * MIB}]
    assert memory.known(variant) == {"gpu0": 120 * MIB}


async def test_the_cause_is_found_before_a_long_trace(journal: Journal) -> None:
    variant = fake_variant(
        journal, load_text=f"{OOM}\n", log_lines=200, exit_code=6, exit_line="fatal error"
    )
    async with running_engine(journal, variant) as run:
        exited = await run.ended()
        assert (exited.out_of_memory, exited.reason) == ("gpu0", f"exit status 6: {OOM}")


async def test_a_kill_while_loading_is_a_lack_of_memory_and_later_it_is_not(
    journal: Journal,
) -> None:
    async with running_engine(journal, fake_variant(journal, load_seconds=60)) as run:
        await journal.wait("listening")
        os.kill(run.process.pid or 0, signal.SIGKILL)
        assert (await run.ended()).out_of_memory == "ram"
    async with running_engine(journal, fake_variant(journal)) as run:
        await run.reported(ev.EngineReady)
        os.kill(run.process.pid or 0, signal.SIGKILL)
        assert not (await run.ended()).out_of_memory
    async with running_engine(journal, fake_variant(journal, load_seconds=60)) as run:
        await journal.wait("listening", count=3)
        run.process.kill()
        assert not (await run.ended()).out_of_memory


# -- what must come back ----------------------------------------------------------------------


async def hold(manager: EngineManager, variant: VariantSpec) -> None:
    async with manager.lease(variant):
        pass


async def until_measured(manager: EngineManager, label: str) -> None:
    await until(lambda: any(r.memory for r in manager.records() if r.variant.label == label))


async def test_a_first_start_does_not_look(journal: Journal) -> None:
    meter = FakeMeter(gpu0=0)
    memory = Memory(LoopClock(), probe=meter)
    variant = replace(fake_variant(journal), needs={"gpu0": 100})
    async with running_manager(
        journal, fake_model(variant), memory=memory, limits=Limits(resources={"gpu0": 100})
    ) as manager:
        await hold(manager, variant)
        assert meter.asked == 0


async def test_after_a_stop_the_next_start_waits_until_the_memory_is_back(
    journal: Journal,
) -> None:
    meter = FakeMeter(held={"gpu0": 1000}, gpu0=200)
    one, other = fake_variant(journal, model="a"), fake_variant(journal, model="b")
    memory = Memory(LoopClock(), probe=meter, wait=3600.0)
    async with running_manager(
        journal, fake_model(one), fake_model(other), memory=memory
    ) as manager:
        await hold(manager, one)
        await until_measured(manager, "a@256")
        waiting = asyncio.create_task(hold(manager, other))
        await until(lambda: meter.asked > 3)
        assert manager.records()[1].state is State.STARTING
        assert len(journal.events("start")) == 1
        meter.available = {"gpu0": 1099}
        asked = meter.asked
        await until(lambda: meter.asked > asked + 1)
        assert len(journal.events("start")) == 1
        meter.available = {"gpu0": 1100}
        await waiting
        assert len(journal.events("start")) == 2


async def test_what_is_enough_for_the_new_engine_is_not_waited_for(journal: Journal) -> None:
    meter = FakeMeter(held={"gpu0": 1000}, gpu0=200)
    one = fake_variant(journal, model="a")
    other = replace(fake_variant(journal, model="b"), needs={"gpu0": 150})
    memory = Memory(LoopClock(), probe=meter, wait=3600.0)
    limits = Limits(resources={"gpu0": 1000})
    async with running_manager(
        journal, fake_model(one), fake_model(other), memory=memory, limits=limits
    ) as manager:
        await hold(manager, one)
        await until_measured(manager, "a@256")
        await hold(manager, other)
        assert len(journal.events("start")) == 2


async def test_an_engine_without_gpu_memory_does_not_wait_for_a_gpu(journal: Journal) -> None:
    meter = FakeMeter(ram=500, gpu0=200)
    memory = Memory(LoopClock(), probe=meter, wait=3600.0)
    variant = fake_variant(journal)
    memory.learnt.learn(memory.learnt.key(variant), {"ram": 100})
    memory.ended({"gpu0": 1000})
    async with running_engine(journal, variant, memory=memory) as run:
        await run.reported(ev.EngineReady)
    assert meter.asked == 1


async def test_the_waiting_is_bounded_and_a_late_start_does_not_wait(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ShiftedClock()
    meter = FakeMeter(held={"gpu0": 1000}, gpu0=200)
    memory = Memory(clock, probe=meter, wait=3600.0)
    one, other = fake_variant(journal, model="a"), fake_variant(journal, model="b")
    caplog.set_level("INFO")
    async with running_manager(
        journal, fake_model(one), fake_model(other), clock=clock, memory=memory
    ) as manager:
        await hold(manager, one)
        await until_measured(manager, "a@256")
        waiting = asyncio.create_task(hold(manager, other))
        await until(lambda: meter.asked > 2)
        clock.skip(3601.0)
        await waiting
        assert "some memory of ended engines is not free" in caplog.text
        await until_measured(manager, "b@256")
        asked = meter.asked
        clock.skip(3601.0)  # idle, so it ends
        await until(lambda: manager.records()[1].state is State.STOPPED)
        clock.skip(3601.0)
        await hold(manager, one)
        # Once for what was free beside the one that ended.
        assert meter.asked == asked + 1


async def test_nothing_known_is_nothing_to_wait_for(journal: Journal) -> None:
    memory = Memory(LoopClock(), probe=FakeMeter(gpu0=200), wait=3600.0)
    one, other = fake_variant(journal, model="a"), fake_variant(journal, model="b")
    async with running_manager(
        journal, fake_model(one), fake_model(other), memory=memory
    ) as manager:
        await hold(manager, one)
        await hold(manager, other)


async def test_without_memory_wait_nobody_looks(journal: Journal) -> None:
    meter = FakeMeter(held={"gpu0": 1000}, gpu0=200)
    memory = Memory(LoopClock(), probe=meter, wait=0.0)
    one, other = fake_variant(journal, model="a"), fake_variant(journal, model="b")
    async with running_manager(
        journal, fake_model(one), fake_model(other), memory=memory
    ) as manager:
        await hold(manager, one)
        await until_measured(manager, "a@256")
        await hold(manager, other)
        assert meter.asked == 0


class DeafMeter(FakeMeter):
    """The driver answers too late."""

    def free(self) -> dict[str, int]:
        self.asked += 1
        time.sleep(0.2)
        return {}


async def test_a_driver_that_does_not_answer_delays_nobody_for_long(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "_PATIENCE", 0.05)
    meter = DeafMeter(held={"gpu0": 1000})
    memory = Memory(LoopClock(), probe=meter, wait=3600.0)
    one, other = fake_variant(journal, model="a"), fake_variant(journal, model="b")
    async with running_manager(
        journal, fake_model(one), fake_model(other), memory=memory
    ) as manager:
        await hold(manager, one)
        await until_measured(manager, "a@256")
        await hold(manager, other)
        assert meter.asked == 2


async def test_a_stop_ends_the_waiting(journal: Journal) -> None:
    memory = Memory(LoopClock(), probe=FakeMeter(gpu0=200), wait=3600.0)
    memory.ended({"gpu0": 1000})
    async with running_engine(journal, fake_variant(journal), memory=memory) as run:
        await asyncio.sleep(0)
        run.process.stop()
        exited = await run.ended()
        assert exited.reason == "it was stopped"
        assert run.process.pid is None
    assert not journal.events("start")


async def test_a_cancelled_waiting_is_told_too(journal: Journal) -> None:
    memory = Memory(LoopClock(), probe=FakeMeter(gpu0=200), wait=3600.0)
    memory.ended({"gpu0": 1000})
    async with running_engine(journal, fake_variant(journal), memory=memory) as run:
        await asyncio.sleep(0.01)
        run.task.cancel()
        await asyncio.wait([run.task])
        assert isinstance(run.reports[-1], ev.EngineExited)


# -- learnt from one gateway to the next ------------------------------------------------------


async def test_the_next_gateway_knows_what_this_one_learnt(
    journal: Journal, tmp_path: Path
) -> None:
    variant, limits = fake_variant(journal), Limits(resources={"ram": 500, "gpu0": 900})
    for held, known in (({"ram": 700, "gpu0": 80}, {}), ({}, {"ram": 500, "gpu0": 80})):
        learnt = LearntNeeds(tmp_path / "learnt", {})
        memory = Memory(LoopClock(), learnt, FakeMeter(held=held))
        async with running_manager(
            journal, fake_model(variant), memory=memory, limits=limits
        ) as manager:
            assert manager.records()[0].takes == known
            await hold(manager, variant)
            if held:
                await until_measured(manager, "m@256")
                assert manager.records()[0].memory == held
                assert manager.records()[0].takes == {"ram": 500, "gpu0": 80}
        assert manager.records()[0].memory == {}
