"""The models of a voice session: what is read ahead for it, and who has to wait for whom."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from account_gateway import UNIT, bearer, booked, books, charging_gateway
from gateway import fake_model, fake_variant, running_gateway
from gateway_client import CHAT, chat_body
from raw_client import PATIENCE
from voice_server import silence, speech, voice_server

from engine.scheduling.lifecycle import State
from inference.hold import Hold
from utils.config.accounts import PriceTable
from utils.config.routes import RouteTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp
    from fake_engine import Journal
    from gateway import Gateway

ASKED: dict[str, Any] = {
    "llm_config": {"model": "thinks", "system_prompt": "Be brief.", "max_tokens": 4},
    "audio_config": {"input_format": "pcm", "output_format": "wav"},
}


@asynccontextmanager
async def talking(
    gw: Gateway, key: str = "", model: str = "thinks"
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a session inside the block."""
    asked = {**ASKED, "llm_config": {**ASKED["llm_config"], "model": model}}
    session = (await gw.post(asked, "/v1/audio/live", **(bearer(key) if key else {}))).json
    async with gw.session.ws_connect(session["websocket_url"]) as socket:
        assert (await socket.receive_json())["type"] == "ready"
        yield socket


async def ended(
    socket: aiohttp.ClientWebSocketResponse, kind: str = "turn_complete"
) -> dict[str, Any]:
    """Return the next message of this type; by default, the end of the turn."""
    async with asyncio.timeout(PATIENCE):
        while (told := await socket.receive_json())["type"] != kind:
            assert told["type"] != "error", told
    return dict(told)


async def test_what_is_read_ahead_gives_way_and_costs_nothing(journal: Journal) -> None:
    at = books(journal.path.parent / "state")
    key = at.add()
    price = PriceTable(name="thinks", input_per_1k="0", output_per_1k="0", per_request="0.25")
    thinks = fake_model(fake_variant(journal, model="thinks", hold="prefill"))
    async with (
        voice_server() as voice,
        charging_gateway(
            journal,
            thinks,
            *voice.models()[1:],
            at=at,
            accounts={"prices": (price,)},
            server={"max_loaded_models": 3},
        ) as gw,
        talking(gw, key) as socket,
    ):
        # Nothing is read by an engine that does not run.
        await socket.send_json({"type": "audio", "transcript": "hello"})
        await socket.send_json({"type": "end_turn"})
        await journal.wait("request", path=CHAT)
        journal.let_go("prefill")
        assert (await ended(socket))["input_transcript"] == "hello"
        journal.hold("prefill")
        await socket.send_json({"type": "audio", "transcript": "and"})
        await journal.wait("request", count=2, path=CHAT)
        # Another request needs the slot.
        other = asyncio.ensure_future(gw.post(chat_body("x", model="thinks"), CHAT, **bearer(key)))
        await journal.wait("aborted")
        journal.let_go("prefill")
        assert (await other).status == 200
        # The turn itself ends what is read for it.
        journal.hold("prefill")
        await socket.send_json({"type": "audio", "transcript": "and you"})
        await journal.wait("request", count=4, path=CHAT)
        await socket.send_json({"type": "end_turn"})
        await journal.wait("aborted", count=2)
        journal.let_go("prefill")
        assert (await ended(socket))["input_transcript"] == "and you"
        await booked(gw)
        assert [row["model"] for row in at.usage()].count("thinks") == 3
        assert at.balance(1) == UNIT // 4


@pytest.mark.parametrize("name", ["thinks", "a route"])
async def test_who_needs_the_room_of_a_session_waits_for_its_turn(
    journal: Journal, name: str
) -> None:
    mine, other = (fake_model(fake_variant(journal, model=name)) for name in ("thinks", "other"))
    ears = fake_model(fake_variant(journal, model="ears"), capabilities=frozenset({"audio"}))
    async with (
        voice_server() as voice,
        # The models elsewhere take no room.
        running_gateway(
            journal,
            mine,
            other,
            *voice.models()[1:],
            ears,
            routes=[RouteTable(name="a route", to=("thinks", "other"))],
        ) as gw,
        talking(gw, model=name) as socket,
    ):
        # With one model at a time, two models here would be loaded in each turn.
        crowded = {**ASKED, "transcription_config": {"model": "ears"}}
        warned = [(await gw.post(each, "/v1/audio/live")).json for each in (ASKED, crowded)]
        assert "warning" not in warned[0]
        assert "needs 2 of them" in warned[1]["warning"]
        await socket.send_bytes(speech(0.5))
        await socket.send_json({"type": "end_turn"})
        await ended(socket)
        # All engines are loaded now. Somebody speaks, and another model is wanted.
        await socket.send_bytes(speech(0.5))
        await ended(socket, "speech_started")
        asked = asyncio.ensure_future(gw.post(chat_body("x", model="other"), CHAT))
        await gw.until_waiting(1)
        assert gw.state(model="thinks") is State.READY
        voice.heard.append("what is it")
        await socket.send_bytes(silence(0.6))
        assert (await ended(socket))["input_transcript"] == "what is it"
        # The session holds nothing between its turns.
        assert (await asked).status == 200
        assert gw.state(model="thinks") is State.STOPPED
        # Its next turn must wait in its turn, and holds nothing that it waits for itself.
        voice.heard.append("are you there")
        await socket.send_bytes(speech(0.5) + silence(0.6))
        assert (await ended(socket))["input_transcript"] == "are you there"
        assert len(gw.starts()) == 3


async def test_a_hold_is_for_all_and_ends(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (fake_model(fake_variant(journal, model=name)) for name in ("one", "other"))
    async with running_gateway(journal, one, other) as gw:
        assert (await gw.post(chat_body("x", model="one"), CHAT)).status == 200
        held = Hold(own=lambda _request: False)
        # The other is not loaded.
        assert not held.take(gw.manager, [one, other], "me")
        monkeypatch.setattr("inference.hold._LONGEST", 0.05)
        assert held.take(gw.manager, [one], "me")
        assert (await gw.post(chat_body("x", model="other"), CHAT)).status == 200
        # What the holder waits for itself, needs no time to pass.
        monkeypatch.setattr("inference.hold._LONGEST", PATIENCE * 2)
        mine = Hold(own=lambda _request: True)
        assert mine.take(gw.manager, [other], "me")
        assert (await gw.post(chat_body("x", model="one"), CHAT)).status == 200
        mine.release()
