"""The order of turns, and what pages and log say of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from gateway import PATIENT, fake_model, fake_variant, running_gateway, until
from gateway_client import chat_body
from raw_client import text_of

from engine.scheduling.lifecycle import State

if TYPE_CHECKING:
    from fake_engine import Journal


STRICTLY = {"max_switch_wait": 0.0, "min_residency": 0.0}

# -- the queue --------------------------------------------------------------------------------


async def test_one_at_a_time_first_come_first_served(journal: Journal) -> None:
    async with running_gateway(
        journal, fake_model(fake_variant(journal, stall_at=1, times=1))
    ) as gw:
        first = await (await gw.stream("first")).head()
        await first.data()
        queued = []
        for number in range(6):
            queued.append(await gw.stream(f"q{number}", max_tokens=2))
            await gw.until_waiting(number + 1)
        first.leave()
        for number, client in enumerate(queued):
            *events, _ = await (await client.head()).rest()
            assert text_of(events) == f"q{number}.0 q{number}.1"
        # Each one's end comes before the next one's beginning.
        story = [
            (event["event"], event["id"])
            for event in journal.events()
            if event["event"] in {"first_byte", "ending", "aborted"}
        ]
        ids = [event["id"] for event in gw.engine_requests()]
        assert [number for _, number in story] == [number for one in ids for number in (one, one)]


@pytest.mark.parametrize(("settings", "order"), [({}, "aab"), (STRICTLY, "aba")])
async def test_requests_for_what_runs_are_collected_unless_order_is_all_that_counts(
    journal: Journal, settings: dict[str, Any], order: str
) -> None:
    one = fake_variant(journal, model="a", stall_at=1, times=1)
    other = fake_variant(journal, model="b")
    async with running_gateway(journal, fake_model(one), fake_model(other), **settings) as gw:
        first = await (await gw.stream(model="a")).head()
        await first.data()
        queued = []
        for number, model in enumerate("ba"):
            queued.append(await gw.stream(model=model, max_tokens=2))
            await gw.until_waiting(number + 1)
        first.leave()
        for client in queued:
            assert (await (await client.head()).rest())[-1] == "[DONE]"
        names = {
            event["pid"]: event["argv"][event["argv"].index("--alias") + 1]
            for event in journal.events("start", who="llama-server")
        }
        assert "".join(names[event["pid"]] for event in gw.engine_requests()) == order


async def test_no_queued_request_meets_the_closed_connection_of_the_last(
    journal: Journal,
) -> None:
    """An engine may close the connection after a stream although its headers promise not to."""
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        for _ in range(20):
            streams = [await gw.stream(max_tokens=1) for _ in range(5)]
            for client in streams:
                assert (await (await client.head()).rest())[-1] == "[DONE]"
        assert len(gw.engine_requests()) == 100
        assert len(journal.events("request", path="/health")) < 20, "none was tried again"


async def test_one_more_than_the_queue_holds(journal: Journal) -> None:
    variant = fake_variant(journal, stall_at=1, times=1)
    async with running_gateway(journal, fake_model(variant), max_queue=2) as gw:
        first = await (await gw.stream("first")).head()
        await first.data()
        waiting = [await gw.stream("second")]
        await gw.until_waiting(1)
        waiting.append(await gw.stream("third"))
        await gw.until_waiting(2)
        for stream in (False, True):
            answer = await gw.chat("fourth", stream=stream)
            answer.error(429, "queue_full")
            assert int(answer.headers["Retry-After"]) >= 1
        first.leave()
        for client in waiting:
            assert text_of((await (await client.head()).rest())[:-1])
        assert (await gw.chat("fifth")).status == 200


async def test_many_clients_on_a_cold_engine(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal, load_seconds=0.1))) as gw:
        answers = await asyncio.gather(*(gw.chat(f"c{number}") for number in range(40)))
        for number, answer in enumerate(answers):
            assert answer.text.startswith(f"c{number}.0 ")
        assert gw.starts() == [256]


# -- the gateway's own pages ------------------------------------------------------------------


async def test_models_lists_all_and_starts_none(journal: Journal) -> None:
    big = fake_model(fake_variant(journal, 256), fake_variant(journal, 1024), aliases=("a", "b"))
    other = fake_model(fake_variant(journal, 512, model="other"))
    async with running_gateway(journal, big, other) as gw:
        listed = (await gw.request("GET", "/v1/models")).json
        assert listed["object"] == "list"
        first, *aliases, second = listed["data"]
        assert [(alias["id"], alias["alias_of"]) for alias in aliases] == [("a", "m"), ("b", "m")]
        assert first["id"] == "m"
        assert first["object"] == "model"
        assert first["context_length"] == 1024
        assert first["aliases"] == ["a", "b"]
        assert first["state"] == "stopped"
        assert (second["id"], second["context_length"]) == ("other", 512)
        assert not journal.events()

        assert (await gw.chat(model="m")).status == 200
        listed = (await gw.request("GET", "/v1/models")).json
        assert [each["state"] for each in listed["data"]] == ["ready"] * 3 + ["stopped"]
        assert (await gw.request("HEAD", "/v1/models")).status == 200


async def test_health_answers_while_an_engine_loads(journal: Journal) -> None:
    # As noisy as an engine can be while it loads.
    variant = fake_variant(journal, load_seconds=60, log_lines=5000)
    async with running_gateway(journal, fake_model(variant)) as gw:
        assert (await gw.health()) == {"status": "ok", "waiting": 0, "engines": []}
        await gw.stream()
        await journal.wait("listening")
        health = await gw.health()
        assert health["waiting"] == 1
        [engine] = health["engines"]
        assert (engine["variant"], engine["state"]) == ("m@256", "starting")
        assert (await gw.request("GET", "/v1/models")).json["data"][0]["state"] == "starting"
        assert gw.state() is State.STARTING


async def test_health_tells_why_an_engine_failed(journal: Journal) -> None:
    variant = fake_variant(journal, exit_code=1, exit_line="error: no memory")
    async with running_gateway(journal, fake_model(variant)) as gw:
        answer = await gw.chat()
        assert "error: no memory" in answer.error(503, "engine_start_failed")["message"]
        [engine] = (await gw.health())["engines"]
        assert engine["state"] == "backoff"
        assert "error: no memory" in engine["reason"]


async def test_repeated_failed_starts_say_when_to_come_back(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal, exit_code=1))) as gw:
        (await gw.chat()).error(503, "engine_start_failed")
        (await gw.chat()).error(503, "engine_start_failed")
        answer = await gw.chat()
        answer.error(503, "engine_start_failed")
        assert answer.headers["Retry-After"] == "1"
        assert len(gw.starts()) == 2


async def test_a_start_over_its_limit_is_a_504(journal: Journal) -> None:
    limited = replace(PATIENT, startup=0.3)
    variant = fake_variant(journal, load_seconds=60, timeouts=limited)
    async with running_gateway(journal, fake_model(variant)) as gw:
        message = (await gw.chat()).error(504, "engine_start_timeout")["message"]
        assert "engine_startup_timeout (0.3 s)" in message
        await until(lambda: not gw.state().live)


# -- the access log ---------------------------------------------------------------------------


async def test_one_line_a_request(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="gateway.access")

    async def line() -> str:
        await until(lambda: [r for r in caplog.records if r.name == "gateway.access"])
        [record] = [r for r in caplog.records if r.name == "gateway.access"]
        caplog.clear()
        return record.getMessage()

    def fields(text: str) -> dict[str, Any]:
        return dict(re.findall(r"(\w+)=(\S+)", text))

    model = fake_model(fake_variant(journal), aliases=("short",))
    async with running_gateway(journal, model) as gw:
        await gw.chat("alpha beta gamma", model="short", max_tokens=3)
        first = await line()
        assert first.startswith("POST /v1/chat/completions 200 ")
        told = fields(first)
        assert (told["model"], told["variant"]) == ("m", "m@256")
        assert (told["prompt"], told["completion"]) == ("7", "3")
        assert all(re.fullmatch(r"\d+\.\d{3}s", told[k]) for k in ("queue", "first", "total"))
        assert float(told["load"][:-1]) > 0
        assert float(told["total"][:-1]) >= float(told["first"][:-1])

        await (await (await gw.stream("alpha", max_tokens=2)).head()).rest()
        told = fields(await line())
        assert (told["prompt"], told["completion"]) == ("5", "2"), "without asking for usage"
        assert told["load"] == "0.000s"

        await gw.post(b"{")
        assert (await line()).startswith("POST /v1/chat/completions 400 model=- variant=- ")
        await gw.post(chat_body(model="none"))
        assert "404 model=- " in await line()
