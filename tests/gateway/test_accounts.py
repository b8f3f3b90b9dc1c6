"""A gateway with accounts: who may ask, what it costs, and what is refused."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from account_gateway import UNIT, Books, bearer, booked, books, charging_gateway
from gateway import fake_model, fake_variant, until
from gateway_client import CHAT, chat_body
from raw_client import post

from accounts.money import to_nano
from utils.config.accounts import PriceTable, RateLimitsTable, TierTable

if TYPE_CHECKING:
    from pathlib import Path

    from fake_engine import Journal


MESSAGES = "/v1/messages"


@pytest.fixture
def at(journal: Journal) -> Books:
    return books(journal.path.parent / "state")


def cost(prompt: int, completion: int) -> int:
    """What an answer costs by the prices of the default."""
    return prompt * to_nano("0.0000001") + completion * to_nano("0.0000002")


async def test_every_bad_key_gets_the_same_answer(journal: Journal, at: Books) -> None:
    expired, good = at.add(expires_at=1), at.add()
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        answers = [
            await gateway.post(chat_body(), **given)
            for given in (
                {},
                bearer("sk-gw-wrong"),
                bearer(expired),
                {"headers": {"x-api-key": "no"}},
            )
        ]
        assert len({answer.body for answer in answers}) == 1
        answers[0].error(401, "invalid_api_key")
        assert answers[0].headers["WWW-Authenticate"] == 'Bearer realm="llm-gateway"'
        assert not gateway.starts()
        for given in (bearer(good), {"headers": {"x-api-key": good}}):
            assert (await gateway.post(chat_body(), **given)).status == 200
        assert (await gateway.request("GET", "/v1/models")).status == 401
        assert (await gateway.request("GET", "/v1/models", **bearer(good))).status == 200
        health = await gateway.health()
        assert health["accounts"] == {"status": "ok"}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_charged_once_by_what_the_engine_counted(
    journal: Journal, at: Books, stream: bool
) -> None:
    key = at.add()
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        more = {"stream_options": {"include_usage": True}} if stream else {}
        answer = await gateway.post(chat_body(stream=stream) | more, **bearer(key))
        assert answer.status == 200
        await booked(gateway)
        [row] = at.usage()
        paid = cost(row["prompt"], row["completion"])
        assert row["completion"] == 4
        assert (row["ended"], row["counted"], row["cost"]) == ("complete", "engine", paid)
        assert at.balance() == UNIT - paid
        assert answer.headers["x-ratelimit-limit-requests"] == "25"
        assert answer.headers["x-ratelimit-remaining-requests"] == "24"
        told = (
            [json.loads(t) for t in answer.body.decode().split("data: ") if "cost" in t]
            if stream
            else [answer.json]
        )
        assert [to_nano(each["usage"]["cost"]) for each in told] == [paid]
        found = await gateway.request(
            "GET", f"/v1/generation?id={answer.headers['X-Request-Id']}", **bearer(key)
        )
        assert to_nano(found.json["data"]["total_cost"]) == paid
        assert found.json["data"]["tokens_completion"] == 4
        other = await gateway.request("GET", "/v1/generation?id=nothing", **bearer(key))
        other.error(404, "not_found")


async def test_each_api_tells_what_an_answer_costs(journal: Journal, at: Books) -> None:
    key = at.add()
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        chat = chat_body(stream=False)
        for path, body in (
            (MESSAGES, {**chat, "max_tokens": 9}),
            ("/v1/responses", {"model": "m", "input": "hi"}),
            ("/api/chat", chat),
        ):
            for stream in (False, True):
                asked = {**body, "stream": stream}
                answer = await gateway.post(asked, path, check=False, **bearer(key))
                told = re.findall(rb'"cost":([0-9.e-]+)', answer.body)
                await booked(gateway)
                assert [to_nano(float(each)) for each in told] == [at.usage()[-1]["cost"]]


async def test_another_account_learns_nothing_of_a_request(journal: Journal, at: Books) -> None:
    mine, other = at.add(), at.add()
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        answer = await gateway.post(chat_body(), **bearer(mine))
        page = f"/v1/generation?id={answer.headers['X-Request-Id']}"
        (await gateway.request("GET", page, **bearer(other))).error(404, "not_found")


async def test_without_money_nothing_is_asked(journal: Journal, at: Books) -> None:
    poor = at.add(money=to_nano("0.0000001"))
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        answer = await gateway.post(chat_body(), **bearer(poor))
        answer.error(402, "insufficient_quota")
        assert answer.headers["X-Should-Retry"] == "false"
        assert answer.headers["x-ratelimit-remaining-requests"] == "25"
        told = await gateway.post(
            {**chat_body(), "model": "m"}, MESSAGES, headers={"x-api-key": poor}
        )
        assert (told.status, told.json["error"]["type"]) == (402, "billing_error")
        assert not gateway.starts()
    assert at.usage() == []


async def test_limits_are_told_and_kept(journal: Journal, at: Books) -> None:
    settings = {"rate_limits": RateLimitsTable(payg=2)}
    key = at.add()
    variant = fake_variant(journal)
    async with charging_gateway(journal, fake_model(variant), at=at, accounts=settings) as gateway:
        for left in ("1", "0"):
            answer = await gateway.post(chat_body(), **bearer(key))
            assert answer.headers["x-ratelimit-remaining-requests"] == left
        answer = await gateway.post(chat_body(), **bearer(key))
        answer.error(429, "rate_limit_exceeded")
        assert answer.headers["x-ratelimit-limit-requests"] == "2"
        assert 25 <= int(answer.headers["Retry-After"]) <= 30
    assert len(at.usage()) == 2


async def test_what_a_key_may_not_do(journal: Journal, at: Books) -> None:
    reader = at.add("sub", scopes="read")
    other = at.add("sub", models='["other-*"]')
    small = at.add("sub", max_context=128)
    still = at.add("sub", may_load=False)
    admin = at.add("admin", scopes="inference read admin")
    fake = at.add("sub", scopes="inference admin")
    blocked = at.add("sub", columns={"status": "blocked"})
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:

        async def asked(key: str) -> Any:
            return await gateway.post(chat_body(), **bearer(key))

        (await asked(reader)).error(403, "not_permitted")
        (await asked(other)).error(403, "model_not_permitted")
        (await asked(small)).error(403, "not_permitted")
        (await asked(still)).error(403, "not_permitted")
        (await asked(blocked)).error(403, "not_permitted")
        assert not gateway.starts()
        assert (await asked(admin)).status == 200
        assert (await asked(still)).status == 200
        metrics = {
            key: await gateway.request("GET", "/metrics", **bearer(key)) for key in (admin, fake)
        }
        assert metrics[admin].status == 200
        metrics[fake].error(403, "not_permitted")
        assert (await gateway.request("GET", "/metrics")).status == 200, "the admin token"
        token = await gateway.post(chat_body(), headers={"X-Admin-Token": gateway.token})
        assert token.status == 200
    assert {row["cost"] for row in at.usage()} == {0}


async def test_parallel_requests_cannot_spend_the_same_money(journal: Journal, at: Books) -> None:
    price = {"pricing": PriceTable(input_per_1k="0", output_per_1k="0", per_request="1")}
    key = at.add(money=5 * UNIT)
    model = fake_model(fake_variant(journal, parallel=4))
    async with charging_gateway(journal, model, at=at, accounts=price) as gateway:
        asked = [gateway.post(chat_body(f"{n}"), **bearer(key)) for n in range(12)]
        statuses = [answer.status for answer in await asyncio.gather(*asked)]
        assert sorted(statuses) == [200] * 5 + [402] * 7
    assert at.balance() == 0


async def test_a_stream_ends_where_the_money_does(journal: Journal, at: Books) -> None:
    """The end is that of a limit, and the tokens that came are paid."""
    settings = {
        "pricing": PriceTable(input_per_1k="0", output_per_1k="1"),
        "hold_tokens": 4,
    }
    key = at.add(money=UNIT * 20 // 1000)  # for 20 tokens
    variant = fake_variant(journal, context=4096)
    async with charging_gateway(journal, fake_model(variant), at=at, accounts=settings) as gateway:
        wanted = {"max_tokens": 400, "stream_options": {"include_usage": True}}
        answer = await gateway.post(chat_body(stream=True) | wanted, **bearer(key))
        events = [t.strip() for t in answer.body.decode().split("data: ")]
        assert events[-1] == "[DONE]"
        used = json.loads(events[-2])["usage"]
        assert (used["completion_tokens"], to_nano(used["cost"])) == (20, UNIT * 20 // 1000)
        assert json.loads(events[-3])["choices"][0]["finish_reason"] == "length"
        assert b": the balance is used up\n" in answer.body
        await booked(gateway)
        [row] = at.usage()
        assert (row["ended"], row["completion"]) == ("cut", 20)
        assert at.balance() == 0
        (await gateway.post(chat_body(), **bearer(key))).error(402, "insufficient_quota")


async def test_a_whole_answer_is_as_long_as_the_money_lasts(journal: Journal, at: Books) -> None:
    settings = {"pricing": PriceTable(input_per_1k="0", output_per_1k="1"), "hold_tokens": 4}
    key = at.add(money=UNIT * 20 // 1000)
    variant = fake_variant(journal, context=4096)
    async with charging_gateway(journal, fake_model(variant), at=at, accounts=settings) as gateway:
        answer = await gateway.post(chat_body() | {"max_tokens": 400}, **bearer(key))
        assert answer.json["choices"][0]["finish_reason"] == "length"
        assert answer.json["usage"]["completion_tokens"] == 20
    assert at.balance() == 0


async def test_a_client_that_leaves_pays_for_what_came(journal: Journal, at: Books) -> None:
    key = at.add()
    model = fake_model(fake_variant(journal, context=4096, token_delay=0.02))
    async with charging_gateway(journal, model, at=at) as gateway:
        client = await gateway.connect()
        body = json.dumps(chat_body(stream=True) | {"max_tokens": 1000}).encode()
        await client.send(post(CHAT, body, f"Authorization: Bearer {key}"))
        await client.head()
        for _ in range(3):
            await client.data()
        client.leave()
        await until(at.usage)
        [row] = at.usage()
        assert (row["ended"], row["counted"]) == ("left", "gateway")
        assert row["cost"] == cost(row["prompt"], row["completion"]) > 0


async def test_a_client_that_leaves_before_the_first_token_pays_nothing(
    journal: Journal, at: Books
) -> None:
    key = at.add()
    model = fake_model(fake_variant(journal, prefill_seconds=30))
    async with charging_gateway(journal, model, at=at) as gateway:
        client = await gateway.connect()
        body = json.dumps(chat_body(stream=True)).encode()
        await client.send(post(CHAT, body, f"x-api-key: {key}"))
        await until(gateway.engine_requests)
        client.leave()
        await until(at.usage)
    [row] = at.usage()
    assert (row["ended"], row["cost"]) == ("left", 0)
    assert at.balance() == UNIT


async def test_what_the_engine_breaks_costs_nothing(journal: Journal, at: Books) -> None:
    key = at.add()
    model = fake_model(fake_variant(journal, die_at=2))
    async with charging_gateway(journal, model, at=at) as gateway:
        client = await gateway.connect()
        body = json.dumps(chat_body(stream=True)).encode()
        await client.send(post(CHAT, body, f"x-api-key: {key}"))
        await client.head()
        await until(at.usage)
    [row] = at.usage()
    assert (row["ended"], row["cost"]) == ("failed", 0)
    assert at.balance() == UNIT


async def test_tiers_are_configurable_and_give_the_priority(journal: Journal, at: Books) -> None:
    tiers = {"tiers": (TierTable(name="gold", rpm=500, concurrency=1, priority="high"),)}
    key = at.add("gold", money=0)
    model = fake_model(fake_variant(journal, parallel=2, token_delay=0.05))
    async with charging_gateway(journal, model, at=at, accounts=tiers) as gateway:
        answer = await gateway.post(chat_body(), **bearer(key))
        assert answer.headers["x-ratelimit-limit-requests"] == "500"
        both = await asyncio.gather(*(gateway.post(chat_body(), **bearer(key)) for _ in range(2)))
        assert sorted(answer.status for answer in both) == [200, 429]


async def test_a_change_by_another_process_is_seen_soon(journal: Journal, at: Books) -> None:
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        key = at.add()

        async def known() -> bool:
            return (await gateway.request("GET", "/v1/models", **bearer(key))).status == 200

        # Nothing tells of the moment at which the gateway looks.
        while not await known():
            await asyncio.sleep(0.02)


async def test_a_stored_response_is_for_all_keys_of_its_account(
    journal: Journal, at: Books
) -> None:
    first, other = at.add(), at.add()
    second = at.add_key()
    async with charging_gateway(journal, fake_model(fake_variant(journal)), at=at) as gateway:
        body = {"model": "m", "input": "hi", "max_output_tokens": 4}
        made = await gateway.post(body, "/v1/responses", **bearer(first))
        page = f"/v1/responses/{made.json['id']}"
        assert (await gateway.request("GET", page, **bearer(second))).json["id"] == made.json["id"]
        assert (await gateway.request("GET", page, **bearer(other))).status == 404


async def test_several_answers_and_responses_in_the_background_are_charged(
    journal: Journal, at: Books
) -> None:
    key = at.add()
    model = fake_model(fake_variant(journal, parallel=2))
    async with charging_gateway(journal, model, at=at) as gateway:
        answer = await gateway.post(chat_body(n=2), **bearer(key))
        assert len(answer.json["choices"]) == 2
        await booked(gateway)
        assert len(at.usage()) == 2
        paid = sum(row["cost"] for row in at.usage())
        assert to_nano(answer.json["usage"]["cost"]) == paid
        page = f"/v1/generation?id={answer.headers['X-Request-Id']}"
        found = (await gateway.request("GET", page, **bearer(key))).json["data"]
        assert to_nano(found["total_cost"]) == sum(row["cost"] for row in at.usage())
        # Also of several prompts, and where the engine has a slot for each.
        texts = {"model": "m", "prompt": ["a", "b c"], "max_tokens": 4}
        answer = await gateway.post(texts, "/v1/completions", check=False, **bearer(key))
        assert [each["index"] for each in answer.json["choices"]] == [0, 1]
        refused = await gateway.post(texts, "/completion", check=False, **bearer(key))
        refused.error(400, "invalid_request")
        await booked(gateway)
        rows = at.usage()[2:]
        assert len(rows) == 2
        assert to_nano(answer.json["usage"]["cost"]) == sum(row["cost"] for row in rows)
        body = {"model": "m", "input": "hi", "background": True, "max_output_tokens": 4}
        begun = await gateway.post(body, "/v1/responses", **bearer(key))
        assert begun.status == 200
        await until(lambda: len(at.usage()) == 5)


async def test_without_the_table_nobody_needs_a_key(journal: Journal, tmp_path: Path) -> None:
    from gateway import running_gateway  # noqa: PLC0415 - the only test without accounts

    async with running_gateway(journal, fake_model(fake_variant(journal))) as gateway:
        assert (await gateway.chat()).status == 200
        assert "accounts" not in await gateway.health()
        assert (await gateway.request("GET", "/v1/generation?id=x")).status == 404
    assert not list(tmp_path.rglob("accounts.db"))
