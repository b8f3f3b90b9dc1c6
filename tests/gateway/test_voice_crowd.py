"""Many voice sessions at once: clients that vanish, floods, time, and chats beside them."""

from __future__ import annotations

import asyncio
import base64
import gc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from engines import ShiftedClock
from gateway import running_gateway, until
from raw_client import PATIENCE
from voice_server import ANSWER, serving, speech, voice_server

import server.voice.live
from voice.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fake_engine import Journal
    from gateway import Gateway
    from voice_server import VoiceServer

    from models.spec import ModelSpec

Socket = aiohttp.ClientWebSocketResponse
PATH = "/v1/audio/live"
PLAIN = {"input_format": "pcm", "output_format": "wav"}
BODY = {"llm_config": {"model": "thinks"}, "audio_config": PLAIN}


async def opened(gw: Gateway) -> Socket:
    """Return the websocket of a new session."""
    made = await gw.post(BODY, PATH)
    assert made.status == 200, made.body
    return await gw.session.ws_connect(made.json["websocket_url"], max_msg_size=0)


async def next_of(socket: Socket, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while (message := await socket.receive_json())["type"] != kind:
            pass
    return dict(message)


async def end_turn(socket: Socket, text: str) -> None:
    await socket.send_json({"type": "end_turn", "transcript": text})


def vanish(socket: Socket) -> None:
    """Break the connection off, without a word."""
    connection = socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()


async def before_ready(_gw: Gateway, _socket: Socket) -> None:
    """Read nothing at all."""


async def ready(_gw: Gateway, socket: Socket) -> None:
    await next_of(socket, "ready")


async def while_it_speaks(_gw: Gateway, socket: Socket) -> None:
    sound = base64.b64encode(speech(0.5)).decode()
    await socket.send_json({"type": "audio", "audio": sound})
    await next_of(socket, "speech_started")


async def while_it_is_heard(_gw: Gateway, socket: Socket) -> None:
    await while_it_speaks(_gw, socket)
    await socket.send_json({"type": "end_turn"})


async def while_the_model_thinks(_gw: Gateway, socket: Socket) -> None:
    await end_turn(socket, "think")
    await next_of(socket, "transcript")


async def while_it_is_spoken_to(_gw: Gateway, socket: Socket) -> None:
    await end_turn(socket, "speak")
    await next_of(socket, "audio")


async def interrupted(_gw: Gateway, socket: Socket) -> None:
    await while_it_is_spoken_to(_gw, socket)
    await socket.send_json({"type": "interrupt"})


async def in_a_realtime_session(gw: Gateway, socket: Socket) -> None:
    """Leave an answer, one beside it, and a sound that is not heard yet."""
    socket_ = await gw.session.ws_connect(f"{gw.url}/v1/realtime?model=thinks")
    sound = base64.b64encode(speech(0.2)).decode()
    item = {"type": "message", "content": [{"type": "input_text", "text": "think"}]}
    heard = {"type": "message", "content": [{"type": "input_audio", "audio": sound}]}
    await socket_.send_json({"type": "conversation.item.create", "item": item})
    await socket_.send_json({"type": "response.create"})
    await socket_.send_json({"type": "response.create", "response": {"conversation": "none"}})
    await socket_.send_json({"type": "conversation.item.create", "item": heard})
    await next_of(socket_, "response.created")
    vanish(socket_)
    await ready(gw, socket)


PHASES: tuple[Callable[[Gateway, Socket], Awaitable[None]], ...] = (
    before_ready,
    ready,
    while_it_speaks,
    while_it_is_heard,
    while_the_model_thinks,
    while_it_is_spoken_to,
    interrupted,
    in_a_realtime_session,
)


async def test_twenty_sessions_of_which_most_vanish(journal: Journal) -> None:
    settings = {"max_voice_sessions": 22, "max_voice_per_client": 22}

    async def vanishes(gw: Gateway, phase: Callable[[Gateway, Socket], Awaitable[None]]) -> None:
        socket = await opened(gw)
        await phase(gw, socket)
        vanish(socket)

    async def stays(gw: Gateway, number: int) -> None:
        socket = await opened(gw)
        for turn in range(3):
            await end_turn(socket, f"{number}, {turn}")
            complete = await next_of(socket, "turn_complete")
            assert complete["input_transcript"] == f"{number}, {turn}"
            assert (complete["output_transcript"], complete["interrupted"]) == (ANSWER, False)
        await socket.close()

    pauses = {"think": 0, "speak": 3}
    deaf = "/v1/audio/transcriptions"
    async with serving(journal, settings, pauses_at=pauses, deaf=deaf) as (gw, voice):
        # 16 that vanish, two of them with another session, and 4 that do not.
        async with asyncio.TaskGroup() as group:
            for phase in (*PHASES, *PHASES):
                group.create_task(vanishes(gw, phase))
            for number in range(4):
                group.create_task(stays(gw, number))
        await until(lambda: not any(record.active for record in gw.manager.records()))
        assert not gw.manager.waiting()
        # All have ended: as many can begin.
        async with asyncio.timeout(PATIENCE):
            while (made := await gw.post(BODY, PATH)).status == 200:
                path = f"{PATH}/{made.json['session_token']}"
                assert (await gw.request("DELETE", path)).status == 200
                if not _sessions():
                    break
        assert not voice.go.is_set()
    assert not _sessions()


def _sessions() -> list[Session]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, Session)]


async def test_a_flood_of_turns_ends_with_the_last(journal: Journal) -> None:
    count = 400
    async with serving(journal) as (gw, voice):
        socket, other = await opened(gw), await opened(gw)
        for number in range(count):
            await end_turn(socket, str(number))
            await socket.send_json({"type": "audio", "transcript": str(number)})
        # Nobody has read yet, and another session does not notice.
        await end_turn(other, "hello")
        assert (await next_of(other, "turn_complete"))["output_transcript"] == ANSWER
        told = await next_of(socket, "turn_complete")
        while told["input_transcript"] != str(count - 1) or told["interrupted"]:
            told = await next_of(socket, "turn_complete")
        assert told["output_transcript"] == ANSWER
        # What was overtaken was not written to its end.
        assert len(voice.spoken) < count
        await socket.close()
        await other.close()


@pytest.mark.parametrize("talkers", [1, 4])
async def test_a_chat_goes_through_while_sessions_talk(journal: Journal, talkers: int) -> None:
    async def talks(gw: Gateway, number: int, stop: asyncio.Event) -> None:
        socket = await opened(gw)
        while not stop.is_set():
            await end_turn(socket, str(number))
            await next_of(socket, "turn_complete")
        await socket.close()

    async with voice_server(pause=1) as voice:
        models = one_by_one(voice)
        settings: dict[str, Any] = {"max_loaded_models": 3, "max_switch_wait": 0.1}
        async with running_gateway(journal, *models, **settings) as gw:
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for number in range(talkers):
                    group.create_task(talks(gw, number, stop))
                await voice.pauses()
                # Also for what sessions load at their beginning.
                await until(lambda: gw.manager.waiting() >= talkers - 1)
                waiting = gw.manager.waiting()
                messages = [{"role": "user", "content": "me"}]
                body = {"model": "thinks", "messages": messages}
                chat = group.create_task(gw.post(body, check=False))
                await until(lambda: gw.manager.waiting() > waiting)
                voice.pause = None
                voice.go.set()
                # They talk on and on; yet those who wait rise in the queue.
                assert (await chat).status == 200
                stop.set()
            if talkers == 1:
                assert [question[-1] for question in voice.questions()][:2] == ["0", "me"]


def one_by_one(voice: VoiceServer) -> list[ModelSpec]:
    """Return the models, of which the one that chats answers one request at a time."""
    thinks, *others = voice.models()
    variant = replace(thinks.variants[0], parallel=1)
    return [replace(thinks, variants=(variant,)), *others]


async def test_sessions_expire_by_a_clock_that_nobody_sets(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ShiftedClock()
    async with serving(journal, {"clock": clock}) as (gw, _):
        made = (await gw.post({**BODY, "session_ttl_minutes": 5}, PATH)).json
        late = (await gw.post({**BODY, "session_ttl_minutes": 5}, PATH)).json
        realtime = await gw.session.ws_connect(f"{gw.url}/v1/realtime?model=thinks")

        class Earlier(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) - timedelta(days=1)

        monkeypatch.setattr(server.voice.live, "datetime", Earlier)
        # The day is told anew, and no session lasts longer or shorter.
        again = (await gw.post(BODY, PATH)).json
        assert datetime.fromisoformat(again["expires_at"]) < datetime.now(UTC)
        clock.skip(4 * 60)
        socket = await gw.session.ws_connect(made["websocket_url"])
        await next_of(socket, "ready")
        await end_turn(socket, "hello")
        await next_of(socket, "turn_complete")
        clock.skip(2 * 60)
        for url, open_ in ((late["websocket_url"], None), ("", socket)):
            ending = open_ or await gw.session.ws_connect(url)
            async with asyncio.timeout(PATIENCE):
                message = await ending.receive()
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4004)
        assert (await gw.request("GET", f"{PATH}/{made['session_token']}")).status == 404
        assert (await gw.request("GET", f"{PATH}/{again['session_token']}")).status == 200
        await next_of(realtime, "session.created")
        clock.skip(55 * 60)
        async with asyncio.timeout(PATIENCE):
            assert (await realtime.receive()).data == 4004
