"""Gateways as each other's peers: their models, the way of a request, and peers that fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from fake_engine import Journal
from gateway import (
    PATIENT,
    Gateway,
    fake_model,
    fake_variant,
    hang,
    nothing_left,
    running_gateway,
    until,
)
from gateway_child import config, gateway_process
from gateway_client import chat_body
from main_process import fork_server
from ports import quiet_port

from models.spec import ModelSpec, VariantSpec
from utils.config.peers import PeerTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUTE = "X-Gateway-Route"


class Machines:
    """Gateways of one test, each with its own state and journal."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack

    def journal(self, name: str) -> Journal:
        (self._folder / name).mkdir(exist_ok=True)
        return Journal(self._folder / name / "journal")

    def model(self, machine: str, name: str = "m", **knobs: Any) -> ModelSpec:
        return fake_model(fake_variant(self.journal(machine), model=name, **knobs))

    async def start(self, name: str, *models: ModelSpec, **more: Any) -> Gateway:
        running = running_gateway(self.journal(name), *models, checked=False, **more)
        return await self._stack.enter_async_context(running)


@asynccontextmanager
async def several(folder: Path) -> AsyncIterator[Machines]:
    fork_server()  # its socket stays
    async with nothing_left(Journal(folder / "none")), AsyncExitStack() as stack:
        yield Machines(folder, stack)


def peer(name: str, port: int, **more: Any) -> PeerTable:
    return PeerTable(name=name, url=f"http://127.0.0.1:{port}", refresh=0.05, **more)


async def ids(gateway: Gateway) -> list[str]:
    return [each["id"] for each in (await gateway.request("GET", "/v1/models")).json["data"]]


async def has(gateway: Gateway, *names: str) -> None:
    """Wait until the gateway has these models, and no others."""
    while (found := await ids(gateway)) != list(names):
        await asyncio.sleep(0.01)
    assert found == list(names)


async def test_a_peers_models_are_served_by_their_names(tmp_path: Path) -> None:
    async with several(tmp_path) as machines:
        far = await machines.start("far", machines.model("far", "q"))
        near = await machines.start("near", machines.model("near"), peers=[peer("box", far.port)])
        await has(near, "m", "box/q", "q")
        answer = await near.chat("hello", model="box/q")
        assert (answer.text.split()[0], answer.json["model"]) == ("hello.0", "q")
        answer = await near.chat("again", model="q", stream=True)
        assert b"again.0" in answer.body
        assert answer.headers[ROUTE] == "q -> box/q; soonest"
        listed = (await near.request("GET", "/v1/models/box/q")).json
        assert (listed["peer"], listed["context_length"], listed["capabilities"]) == (
            "box",
            256,
            ["text"],
        )
        assert far.engine_requests()
        assert not near.engine_requests()
        # The model that is named alone is here, and goes nowhere.
        assert ROUTE not in (await near.chat(model="m")).headers


async def test_a_name_that_both_have_goes_where_it_is_answered_first(tmp_path: Path) -> None:
    async with several(tmp_path) as machines:
        far = await machines.start("far", machines.model("far"))
        own = machines.model("near", hold="5")
        near = await machines.start("near", own, peers=[peer("box", far.port)])
        await has(near, "m", "box/m")

        async def went(text: str, **more: Any) -> str:
            answer = await near.chat(text, model="m", **more)
            assert answer.status == 200
            return answer.headers[ROUTE]

        # Neither runs: this machine is asked first. Then it runs here.
        assert await went("one") == "m -> m; soonest"
        assert await went("two") == "m -> m; soonest"
        # All places are taken here: the other one can load it.
        slow = await near.stream("slow", model="m", max_tokens=40)
        await slow.head()
        await slow.event()
        assert await went("three") == "m -> box/m; soonest"
        slow.leave()
        # A conversation stays where it was, though there is a place here again.
        await until(lambda: not any(record.active for record in near.manager.records()))
        assert await went("three") == "m -> box/m; stays"
        assert await went("four") == "m -> m; soonest"


async def test_a_loop_ends_and_what_was_sent_on_stays(tmp_path: Path) -> None:
    async with several(tmp_path) as machines:
        ports = quiet_port(), quiet_port()
        one = await machines.start(
            "one",
            machines.model("one"),
            peers=[peer("two", ports[1])],
            listen_v4=f"127.0.0.1:{ports[0]}",
        )
        two = await machines.start(
            "two",
            machines.model("two"),
            peers=[peer("one", ports[0])],
            listen_v4=f"127.0.0.1:{ports[1]}",
        )
        await has(one, "m", "two/m")
        await has(two, "m", "one/m")
        # Its peer answers it itself, under the name that both have.
        answer = await one.chat("hi", model="two/m")
        assert answer.status == 200
        assert two.engine_requests()
        assert not one.engine_requests()
        own = (await one.chat(model="m")).headers["X-Request-Id"].rpartition("-")[0]
        looped = await one.post(chat_body(model="two/m"), headers={"X-Gateway-Hops": f"x, {own}"})
        looped.error(508, "loop_detected")
        # A name that both have does not go back to where it came from.
        # It is another conversation than the one before, which may have been here.
        body = chat_body("another", model="m")
        answer = await two.post(body, headers={"X-Gateway-Hops": "x"})
        assert answer.headers[ROUTE] == "m -> m; soonest"


async def test_a_peer_that_is_gone_is_replaced_unseen(tmp_path: Path) -> None:
    async with several(tmp_path) as machines:
        async with AsyncExitStack() as stack:
            far = await stack.enter_async_context(
                running_gateway(machines.journal("far"), machines.model("far"), checked=False)
            )
            other = await machines.start("other", machines.model("other"))
            peers = [peer("a", far.port), peer("b", other.port)]
            near = await machines.start("near", machines.model("near", "x"), peers=peers)
            await has(near, "x", "a/m", "b/m", "m")
            assert (await near.chat("talk", model="m")).headers[ROUTE] == "m -> a/m; soonest"
        # Nobody has noticed yet, or all have: the client cannot tell.
        answer = await near.chat("talk", model="m", stream=True)
        assert b"talk.0" in answer.body
        assert answer.headers[ROUTE].startswith("m -> b/m; ")
        failed = await near.chat("talk", model="a/m")
        assert failed.status in {502, 503}


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_peer_that_fails_before_the_first_byte_is_replaced_unseen(
    tmp_path: Path, how: str
) -> None:
    async with several(tmp_path) as machines:
        journal, port = machines.journal("far"), quiet_port()
        # It reads the prompt for as long as it lives.
        text = config(journal, port, prefill_seconds=60)
        async with gateway_process(journal, text, port) as far:
            other = await machines.start("other", machines.model("other"))
            near = await machines.start(
                "near",
                machines.model("near", "x"),
                peers=[peer("a", port), peer("b", other.port)],
                health_check_interval=0.1,
                health_check_failures=2,
                health_check_timeout=0.5,
            )
            await has(near, "x", "a/m", "b/m", "m")
            asked = asyncio.create_task(near.chat("talk", model="m", stream=True))
            await journal.wait("request", path="/v1/chat/completions")
            if how == "frozen":
                await hang(far.process.pid)
            else:
                far.signal(signal.SIGKILL)
            answer = await asked
            assert b"talk.0" in answer.body
            assert answer.headers[ROUTE] == "m -> b/m; soonest; failed=a/m"
            for event in journal.events("start"):
                # It may have seen already that its gateway has died.
                with contextlib.suppress(psutil.NoSuchProcess):
                    psutil.Process(event["pid"]).kill()


async def test_a_text_goes_to_the_machine_that_has_its_voice(tmp_path: Path) -> None:
    # No engine starts: a route is asked for, and the voices stand beside the models' files.
    def speaks(machine: str, *voices: str) -> ModelSpec:
        file = tmp_path / f"{machine}.onnx"
        told = {"speaker_id_map": {name: at for at, name in enumerate(voices)}}
        Path(f"{file}.json").write_text(json.dumps(told))
        args = ("-m", str(file))
        variant = VariantSpec("say", None, "", PATIENT, args=args, engine="piper", name="one")
        return ModelSpec("say", (variant,))

    async with several(tmp_path) as machines:
        far = await machines.start("far", speaks("far", "amy", "bob"))
        near = await machines.start("near", speaks("near", "eve"), peers=[peer("box", far.port)])
        await has(near, "say", "box/say")

        async def went(voice: str) -> list[str]:
            asked = {"model": "say", "input": "Hi.", "voice": voice}
            order = {"path": "/v1/audio/speech", "request": asked}
            found = (await near.post(order, "/admin/route")).json
            return [found["model"], *found["then"]]

        while await went("bob") != ["box/say"]:
            await asyncio.sleep(0.01)
        assert await went("eve") == ["say"]
        assert await went("alloy") == ["say", "box/say"]
        listed = (await near.request("GET", "/v1/audio/voices")).json["voices"]
        assert [(v["model"], v["id"]) for v in listed] == [
            ("say", "eve"),
            ("box/say", "amy"),
            ("box/say", "bob"),
        ]
