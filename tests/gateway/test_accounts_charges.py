"""What is charged of requests that are not chats, and for whom engines are loaded and evicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from account_gateway import UNIT, Books, bearer, booked, books, charging_gateway
from aiohttp import web
from gateway import PATIENT, fake_model, fake_variant
from gateway_client import chat_body
from ports import quiet_port

from engine.scheduling.lifecycle import State
from models.spec import VariantSpec
from utils.config.accounts import PriceTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_engine import Journal
    from gateway import Gateway
    from gateway_client import Answer

SPEECH, IMAGE, SOUND = "/v1/audio/speech", "/v1/images/generations", "/v1/audio/transcriptions"
EACH = PriceTable(name="m", input_per_1k="0", output_per_1k="0", per_request="0.25")


@pytest.fixture
def at(journal: Journal) -> Books:
    return books(journal.path.parent / "state")


@pytest.fixture
async def engine() -> AsyncIterator[str]:
    """An engine elsewhere that answers anything, without counts of tokens; the URL of it."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.json_response({"text": "done"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        port = quiet_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def asked(gateway: Gateway, path: str, key: str) -> Answer:
    if path == SOUND:
        form = aiohttp.FormData({"model": "m"})
        form.add_field("file", b"sound", filename="a.wav", content_type="audio/wav")
        return await gateway.request("POST", path, data=form, **bearer(key))
    body = {"model": "m", "input": "Hello.", "voice": "a", "prompt": "a cat"}
    return await gateway.post(body, path, check=False, **bearer(key))


@pytest.mark.parametrize("path", [SPEECH, IMAGE, SOUND])
async def test_speech_sounds_and_pictures_are_charged_once(
    journal: Journal, at: Books, path: str, engine: str
) -> None:
    key = at.add()
    settings: Any = {"prices": (EACH,)}
    able = frozenset({"audio", "speech", "image"})
    variant = VariantSpec("m", None, "", PATIENT, engine="remote", url=engine, name="default")
    model = fake_model(variant, capabilities=able)
    async with charging_gateway(journal, model, at=at, accounts=settings) as gateway:
        assert (await gateway.request("GET", "/api/models")).json["models"][0]["price"] == {
            **dict.fromkeys(("input", "cached", "output"), "0"),
            "per_request": "0.25",
        }
        for number in range(1, 5):
            answer = await asked(gateway, path, key)
            assert answer.status == 200, answer.body
            await booked(gateway)
            assert at.balance() == UNIT - number * UNIT // 4
        (await asked(gateway, path, key)).error(402, "insufficient_quota")
    assert {(row["ended"], row["cost"]) for row in at.usage()} == {("complete", UNIT // 4)}


async def test_who_may_not_load_or_evict_uses_what_runs(journal: Journal, at: Books) -> None:
    """A free place may be taken by who may load; another model's only by who may evict, too."""
    keys = {
        "neither": at.add("sub", may_load=False, may_evict=False),
        "loads": at.add("sub", may_evict=False),
        "both": at.add("sub"),
    }
    models = [fake_model(fake_variant(journal, model=name)) for name in ("a", "b", "c")]
    gateway_of = charging_gateway(journal, *models, at=at, server={"max_loaded_models": 2})
    async with gateway_of as gateway:

        async def status(who: str, model: str) -> int:
            answer = await gateway.post(chat_body(model=model), **bearer(keys[who]))
            if answer.status != 200:
                answer.error(403, "not_permitted")
            return answer.status

        assert await status("neither", "a") == 403
        assert await status("loads", "a") == 200
        assert await status("neither", "a") == 200
        assert await status("loads", "b") == 200
        assert await status("loads", "c") == 403
        assert [gateway.state(model=name) for name in "abc"].count(State.READY) == 2
        assert await status("both", "c") == 200
        assert gateway.state(model="c") is State.READY
        assert gateway.state(model="a") is not State.READY
