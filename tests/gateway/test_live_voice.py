"""The Live Voice API by a whole gateway: sessions, messages, interruptions, ends."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import wave
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from account_gateway import UNIT, bearer, booked, books, charging_gateway
from encoded import encoded
from gateway import Gateway, running_gateway, until
from gateway_client import client_session
from raw_client import PATIENCE
from recorded import recorded
from voice_server import ANSWER, RATE, serving, silence, speech, voice_server

from engine.sound.resample import resampled
from engine.sound.wav import wav_head
from utils.config.accounts import PriceTable
from utils.config.routes import RouteTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_engine import Journal

PATH = "/v1/audio/live"
PLAIN = {"input_format": "pcm", "output_format": "wav"}


@dataclass
class Talk:
    """A client of one session."""

    socket: aiohttp.ClientWebSocketResponse
    token: str

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, **fields})

    async def sound(self, samples: bytes, **more: Any) -> None:
        await self.send("audio", audio=base64.b64encode(samples).decode(), **more)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            return dict(await self.socket.receive_json())

    async def until(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the messages up to the first of one of these types."""
        found = [await self.next()]
        while found[-1]["type"] not in kinds:
            found.append(await self.next())
        return found

    async def ask(self, text: str) -> dict[str, Any]:
        """Return the end of the turn with this text."""
        await self.send("end_turn", transcript=text)
        return (await self.until("turn_complete"))[-1]

    async def closed(self) -> tuple[int | None, str]:
        """Return the code and the reason with which the gateway closes."""
        async with asyncio.timeout(PATIENCE):
            while (message := await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code, message.extra or ""


def asked(**fields: Any) -> dict[str, Any]:
    given = {"llm_config": {"model": "thinks"}, "audio_config": PLAIN, **fields}
    return {name: value for name, value in given.items() if value is not None}


async def created(gw: Gateway, **fields: Any) -> dict[str, Any]:
    answer = await gw.post(asked(**fields), PATH)
    assert answer.status == 200, answer.body
    return dict(answer.json)


@asynccontextmanager
async def talking(gw: Gateway, **fields: Any) -> AsyncIterator[Talk]:
    session = await created(gw, **fields)
    async with gw.session.ws_connect(session["websocket_url"], max_msg_size=0) as socket:
        talk = Talk(socket, session["session_token"])
        ready = await talk.next()
        assert (ready["type"], ready["session_token"]) == ("ready", talk.token)
        assert ready["config"] == session["config"]
        yield talk


def break_off(talk: Talk) -> None:
    """Lose the connection, without a word."""
    connection = talk.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()


def of(kind: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in messages if each["type"] == kind]


async def test_a_turn_by_text(journal: Journal) -> None:
    async with serving(journal) as (gw, voice), talking(gw) as talk:
        await talk.send("ping")
        assert await talk.next() == {"type": "pong"}
        await talk.send("end_turn", transcript="hello", unknown=1)
        messages = await talk.until("turn_complete")
        heard = of("transcript", messages)
        assert [each["text"] for each in heard] == ["hello"]
        texts = of("text", messages)
        assert "".join(each["text"] for each in texts) == ANSWER
        assert [each["is_final"] for each in texts] == [False] * (len(texts) - 1) + [True]
        sounds = of("audio", messages)
        assert [each["text"] for each in sounds] == [
            "Good morning, ",
            "dear friend. ",
            "How are you?",
        ]
        for each in sounds:
            # Each is a whole file.
            with wave.open(io.BytesIO(base64.b64decode(each["audio"]))) as file:
                assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
                assert file.getnframes() == int(len(each["text"].strip()) * 0.01 * RATE)
        complete = messages[-1]
        assert (complete["input_transcript"], complete["output_transcript"]) == ("hello", ANSWER)
        assert complete["usage"] == {"tokens_in": 7, "tokens_out": 5, "tokens_cached": None}
        assert complete["interrupted"] is False
        assert complete["latency_ms"] == complete["timings"]["first_audio_ms"]
        assert {each.get("turn_id") for each in messages} == {1}
        # The second turn knows the first.
        await talk.ask("and you")
        assert voice.questions()[1] == ["hello", ANSWER, "and you"]
        assert [each["voice"] for each in voice.spoken] == ["alloy"] * 6


async def test_a_turn_by_voice_is_heard_when_it_ends(journal: Journal) -> None:
    async with serving(journal) as (gw, voice), talking(gw) as talk:
        sound = silence(0.5) + speech(0.6) + silence(0.7)
        for at in range(0, len(sound), 9600):
            await talk.sound(sound[at : at + 9600])
        messages = await talk.until("turn_complete")
        kinds = [each["type"] for each in messages][:3]
        assert kinds == ["speech_started", "speech_stopped", "transcript"]
        assert messages[-1]["input_transcript"] == "hello there"
        [heard] = voice.sounds
        with wave.open(io.BytesIO(heard)) as file:
            assert file.getframerate() == RATE
            assert 1.2 < file.getnframes() / RATE < 1.6
        # A message of bytes is sound, too, and the client may say that it has ended.
        voice.heard.append("again")
        await talk.socket.send_bytes(speech(0.4))
        await talk.send("end_turn")
        assert (await talk.until("turn_complete"))[-1]["input_transcript"] == "again"


async def test_the_models_of_a_session_are_loaded_when_it_begins(journal: Journal) -> None:
    async with serving(journal) as (gw, voice), talking(gw):
        await until(lambda: len(gw.manager.ready()) == 3)
        assert [*voice.chats, *voice.sounds, *voice.spoken] == []


async def test_speech_is_understood_before_its_end(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with (
        serving(journal, heard=["hello"]) as (gw, voice),
        talking(gw) as talk,
    ):
        # Only an engine that is loaded and free is asked ahead.
        await until(lambda: len(gw.manager.ready()) == 3)
        await talk.sound(speech(0.5) + silence(0.3))
        partial = (await talk.until("transcript"))[-1]
        assert (partial["text"], partial["is_final"], partial["turn_id"]) == ("hello", False, 1)
        await talk.sound(silence(0.3))
        told = await talk.until("turn_complete")
        assert [(each["text"], each["is_final"]) for each in of("transcript", told)] == [
            ("hello", True)
        ]
        assert told[-1]["timings"]["heard_ms"] == 500
        assert len(voice.sounds) == 1
        # A text that is not needed any more is ended; in the log, no client has left.
        voice.deaf = "/v1/audio/transcriptions"
        await talk.sound(speech(0.5) + silence(0.3))
        await voice.pauses()
        await talk.ask("never mind")
        await until(lambda: any("(voice, ended early)" in line for line in caplog.messages))
        assert not any(" 499 " in line for line in caplog.messages)


@pytest.mark.parametrize("kind", ["wav", "webm"])
async def test_sound_files(journal: Journal, kind: str) -> None:
    audio = {**PLAIN, "input_format": kind, "turn_detection": "server" if kind == "wav" else "none"}
    async with (
        serving(journal) as (gw, voice),
        talking(gw, audio_config=audio) as talk,
    ):
        samples = speech(0.5, rate=16000)
        file = wav_head(16000, len(samples)) + samples if kind == "wav" else b"\x1aE\xdf\xa3" * 99
        await talk.sound(file[:100])
        await talk.sound(file[100:], is_final=True)
        # It has ended already.
        await talk.send("end_turn")
        await talk.until("turn_complete")
        [heard] = voice.sounds
        if kind == "webm":
            assert heard == file
            return
        with wave.open(io.BytesIO(heard)) as found:
            assert found.getnframes() / found.getframerate() == pytest.approx(0.5, abs=0.01)


async def test_webm_is_heard_while_it_comes(journal: Journal) -> None:
    said = resampled(recorded(), 16000, RATE)
    sound = encoded(said + silence(0.9), RATE)
    # So many pieces of it have speech and a pause in which a turn does not end.
    pause = len(encoded(said + silence(0.1), RATE))
    async with (
        serving(journal, heard=["hey"] * 9, pause=3) as (gw, voice),
        talking(gw, audio_config={**PLAIN, "input_format": "webm"}) as talk,
    ):
        await until(lambda: len(gw.manager.ready()) == 3)
        # What cannot be read fails a turn, and not the session.
        await talk.sound(b"no sound" * 99)
        assert "cannot be decoded" in (await talk.next())["message"]
        for piece in sound[:pause]:
            await talk.sound(piece)
        told = await talk.until("transcript")
        assert [each["type"] for each in told] == ["speech_started", "transcript"]
        assert told[-1]["is_final"] is False
        for piece in sound[pause:]:
            await talk.sound(piece)
        told = await talk.until("audio")
        assert of("speech_stopped", told)[0]["turn_id"] == 1
        with wave.open(io.BytesIO(voice.sounds[-1])) as file:
            assert file.getframerate() == 16000
        # Speech interrupts; its recorder was started again, and its client ends the turn.
        await voice.pauses()
        voice.pause = None
        voice.heard = ["what is it"] * 9
        await talk.sound(b"".join(encoded(said + silence(0.3), RATE)))
        assert (await talk.until("interrupted"))[-1]["turn_id"] == 1
        await talk.send("end_turn")
        assert (await talk.until("turn_complete"))[-1]["interrupted"] is True
        assert (await talk.until("turn_complete"))[-1]["input_transcript"] == "what is it"
    # Its process has ended with the session.
    await until(lambda: not gw.manager.waiting())


async def test_a_message_interrupts_an_answer(journal: Journal) -> None:
    async with serving(journal, pause=3) as (gw, voice), talking(gw) as talk:
        await talk.send("end_turn", transcript="hello")
        await talk.until("audio")
        await voice.pauses()
        await talk.send("interrupt")
        told = await talk.until("turn_complete")
        [interrupted] = of("interrupted", told)
        # Whatever was still to be sent of it comes before the answer to this.
        await talk.send("ping")
        after = [*told[told.index(interrupted) :], *await talk.until("pong")]
        assert not of("audio", after)
        heard = interrupted["partial_output"]
        assert "Good morning, ".startswith(heard)
        assert (told[-1]["interrupted"], told[-1]["output_transcript"]) == (True, heard)
        # The engine is told at once.
        async with asyncio.timeout(PATIENCE):
            await voice.left.wait()
        voice.pause = None
        await talk.ask("go on")
        expected = ["hello", f"{heard} [INTERRUPTED BY USER]", "go on"]
        assert voice.questions()[1] == (expected if heard else ["hello\ngo on"])


async def test_speech_interrupts_and_a_cough_does_not(journal: Journal) -> None:
    async with (
        serving(journal, pause=3, heard=["what is it"]) as (gw, voice),
        talking(gw) as talk,
    ):
        await talk.send("end_turn", transcript="hello")
        await talk.until("audio")
        await talk.sound(speech(0.08) + silence(0.6))
        stopped = (await talk.until("speech_stopped"))[-1]
        assert "turn_id" not in stopped
        await talk.sound(speech(0.5))
        assert (await talk.until("interrupted"))[-1]["turn_id"] == 1
        voice.pause = None
        await talk.sound(speech(0.3) + silence(0.6))
        messages = await talk.until("transcript")
        assert messages[-1]["text"] == "what is it"
        assert (await talk.until("turn_complete"))[-1]["turn_id"] == 2


async def test_wake_words(journal: Journal) -> None:
    wake = {"enabled": True, "words": ["Computer"], "mode": "post"}
    async with serving(journal) as (gw, voice), talking(gw, wake_word_config=wake) as talk:
        await talk.send("end_turn", transcript="turn on the light")
        assert (await talk.until("wake_word_required"))[-1]["message"]
        await talk.send("end_turn", transcript="Computer!")
        assert "wake word" in (await talk.until("error"))[-1]["message"]
        await talk.ask("Turn on the light, computer.")
        assert voice.questions() == [["Turn on the light"]]


async def test_without_its_wake_word_sound_is_not_heard(journal: Journal) -> None:
    wake = {"enabled": True, "words": ["hey jarvis"]}
    heard = ["Hey Javis, turn on the light."]
    sound = resampled(recorded(), 16000, RATE)
    async with (
        serving(journal, heard=heard) as (gw, voice),
        talking(gw, wake_word_config=wake) as talk,
    ):
        await talk.sound(silence(0.5) + sound[RATE * 2 :] + silence(0.7))
        assert (await talk.until("wake_word_required"))[-1]["turn_id"] == 1
        assert voice.sounds == []
        for at in range(0, len(sound), 9600):
            await talk.sound(sound[at : at + 9600])
        await talk.sound(silence(0.7))
        await talk.until("turn_complete")
        assert voice.questions() == [["turn on the light"]]


async def test_tools_and_the_system_prompt(journal: Journal) -> None:
    tool = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
    call = {"index": 0, "id": "c1", "function": {"name": "clock", "arguments": "{}"}}
    llm = {"model": "thinks", "system_prompt": "Be brief.", "tools": [tool], "temperature": 0}
    async with (
        serving(journal, calls=[call], says="") as (gw, voice),
        talking(gw, llm_config=llm) as talk,
    ):
        complete = await talk.ask("what time is it")
        assert complete["tools_called"] == [{"id": "c1", "name": "clock", "arguments": "{}"}]
        [chat] = voice.chats
        assert (chat["tools"], chat["temperature"]) == ([tool], 0)
        assert chat["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    "path", ["/v1/audio/transcriptions", "/v1/chat/completions", "/v1/audio/speech"]
)
async def test_a_failure_ends_the_turn_and_not_the_session(journal: Journal, path: str) -> None:
    async with serving(journal, fault=path) as (gw, voice), talking(gw) as talk:
        await talk.sound(speech(0.5))
        await talk.send("end_turn")
        failed = (await talk.until("error"))[-1]
        assert failed["turn_id"] == 1
        assert failed["message"]
        voice.fault = ""
        assert (await talk.ask("hello"))["output_transcript"] == ANSWER


async def test_messages_at_fault_are_told(journal: Journal) -> None:
    wav = {**PLAIN, "input_format": "wav"}
    async with serving(journal) as (gw, _), talking(gw, audio_config=wav) as talk:
        for message, why in (
            ("{", "no JSON"),
            ("[]", "must be an object"),
            ("{}", "'type' must say"),
            ('{"type": "audio", "audio": "%%"}', "'audio' must be base64"),
            ('{"type": "audio", "audio": 5}', "'audio' must be a text"),
            ('{"type": "end_turn"}', "no sound"),
            ('{"type": "audio", "audio": "UklGRg=="}', "WAV file of 16 bits"),
        ):
            await talk.socket.send_str(message)
            assert why in (await talk.next())["message"]
        # What is not known is ignored.
        await talk.send("dance")
        await talk.send("ping")
        assert (await talk.next())["type"] == "pong"


async def test_requests_at_fault(journal: Journal) -> None:
    async with serving(journal, settings={"max_voice_per_client": 1}) as (gw, voice):
        for fields, param in (
            ({"llm_config": {}}, "llm_config.model"),
            ({"llm_config": 3}, "llm_config"),
            ({"audio_config": {"input_format": "midi"}}, "audio_config.input_format"),
            ({"audio_config": {"sample_rate": 1}}, "audio_config.sample_rate"),
            ({"session_ttl_minutes": 4}, "session_ttl_minutes"),
            ({"wake_word_config": {"enabled": True}}, "wake_word_config.words"),
            ({"wake_word_config": {"mode": "loud"}}, "wake_word_config.mode"),
        ):
            answer = await gw.post(asked(**fields), PATH)
            assert answer.error(400, "invalid_request")["param"] == param
        for model, status, code in (
            ("nobody", 404, "model_not_found"),
            ("speaks", 400, "capability_missing"),
        ):
            answer = await gw.post(asked(llm_config={"model": model}), PATH)
            answer.error(status, code)
        (await gw.post(b"{", PATH)).error(400, "invalid_request")
        (await gw.request("GET", f"{PATH}/live-0")).error(404, "not_found")
        first = await created(gw)
        (await gw.post(asked(), PATH)).error(429, "rate_limit_exceeded")
        assert (await gw.request("DELETE", f"{PATH}/{first['session_token']}")).status == 200
        await created(gw)
        assert not voice.chats


async def test_models_by_routes_and_aliases(journal: Journal) -> None:
    async with voice_server() as voice:
        thinks, hears, speaks = voice.models()
        shy = replace(thinks, aliases=("shy",), alias_params={"shy": {"temperature": 0.125}})
        routes = [
            RouteTable(name="talks", to=("other", "shy")),
            RouteTable(name="listens", to=("hears",)),
            RouteTable(name="reads", to=("speaks",)),
        ]
        async with running_gateway(
            journal, shy, hears, speaks, routes=routes, max_loaded_models=3
        ) as gw:
            named: dict[str, Any] = {
                "llm_config": {"model": "talks"},
                "transcription_config": {"model": "listens"},
                "voice_config": {"model": "reads"},
            }
            async with talking(gw, **named) as talk:
                await talk.sound(speech(0.5))
                await talk.send("end_turn")
                assert (await talk.until("turn_complete"))[-1]["output_transcript"] == ANSWER
            async with talking(gw, llm_config={"model": "shy"}) as talk:
                await talk.ask("hello")
            async with talking(gw, llm_config={"model": "auto"}) as talk:
                await talk.ask("hello")
            named["llm_config"] = {"model": "listens"}
            (await gw.post(asked(**named), PATH)).error(400, "capability_missing")
            assert [each["model"] for each in voice.chats] == ["thinks", "shy", "thinks"]
            assert voice.chats[1]["temperature"] == 0.125
            assert {each["model"] for each in voice.spoken} == {"speaks"}


async def test_without_a_voice_there_is_no_session(journal: Journal) -> None:
    async with voice_server() as voice, running_gateway(journal, voice.models()[0]) as gw:
        (await gw.post(asked(), PATH)).error(503, "voice_unavailable")


async def test_a_token_opens_one_websocket(journal: Journal) -> None:
    async with serving(journal) as (gw, _):
        async with talking(gw, session_ttl_minutes=5) as talk:
            shown = (await gw.request("GET", f"{PATH}/{talk.token}")).json
            assert (shown["connected"], shown["models"]["tts"]) == (True, "speaks")
            for token in (talk.token, "live-wrong"):
                url = f"{gw.url}{PATH}/ws/{token}"
                async with gw.session.ws_connect(url) as other:
                    assert (await Talk(other, token).closed())[0] == 4004
            await talk.send("close")
            assert (await talk.closed())[0] == 1000
            await until(lambda: not gw.manager.waiting())
            assert (await gw.request("GET", f"{PATH}/{talk.token}")).status == 404
        async with talking(gw) as talk:
            assert (await gw.request("DELETE", f"{PATH}/{talk.token}")).status == 200
            assert await talk.closed() == (1000, "The session was ended.")


@pytest.mark.parametrize("phase", ["idle", "thinking", "speaking"])
async def test_a_client_that_vanishes_leaves_nothing(journal: Journal, phase: str) -> None:
    async with serving(journal, pause=0 if phase == "thinking" else 3) as (gw, voice):
        async with talking(gw) as talk:
            if phase != "idle":
                await talk.send("end_turn", transcript="hello")
                await voice.pauses()
            if phase == "speaking":
                await talk.until("audio")
            break_off(talk)
        if phase != "idle":
            async with asyncio.timeout(PATIENCE):
                await voice.left.wait()
        await until(lambda: not any(record.active for record in gw.manager.records()))
        assert (await gw.request("GET", "/health")).status == 200


async def test_the_end_of_the_gateway_ends_sessions(journal: Journal) -> None:
    async with voice_server(pause=3) as voice, client_session() as session:
        async with running_gateway(journal, *voice.models(), max_loaded_models=3) as gw:
            made = await created(gw)
            socket = await session.ws_connect(made["websocket_url"])
            talk = Talk(socket, made["session_token"])
            await talk.send("end_turn", transcript="hello")
            await voice.pauses()
            closing = asyncio.create_task(talk.closed())
        assert await closing == (1001, "The gateway is shutting down.")


async def test_too_large_a_message_ends_the_session(journal: Journal) -> None:
    async with serving(journal) as (gw, _), talking(gw) as talk:
        # The gateway does not wait for the rest of it.
        with contextlib.suppress(ConnectionError):
            await talk.socket.send_bytes(bytes(10 * 1024 * 1024))
        path = f"{PATH}/{talk.token}"
        while (await gw.request("GET", path)).status != 404:
            await asyncio.sleep(0.01)


async def test_a_session_belongs_to_its_key_and_ends_with_the_money(journal: Journal) -> None:
    at = books(journal.path.parent / "state")
    mine, other = at.add(), at.add()
    each = {"input_per_1k": "0", "output_per_1k": "0", "per_request": "0.25"}
    prices = tuple(PriceTable(name=name, **each) for name in ("thinks", "speaks", "hears"))
    async with (
        voice_server() as voice,
        charging_gateway(
            journal,
            *voice.models(),
            at=at,
            accounts={"prices": prices},
            server={"max_loaded_models": 3},
        ) as gw,
    ):
        (await gw.post(asked(), PATH)).error(401, "invalid_api_key")
        session = (await gw.post(asked(), PATH, **bearer(mine))).json
        path = f"{PATH}/{session['session_token']}"
        assert (await gw.request("GET", path)).status == 401
        assert (await gw.request("GET", path, **bearer(other))).status == 404
        assert (await gw.request("DELETE", path, **bearer(other))).status == 404
        # The token is all that the websocket needs.
        async with gw.session.ws_connect(session["websocket_url"]) as socket:
            talk = Talk(socket, session["session_token"])
            # A chat and three clauses.
            assert (await talk.ask("hello"))["cost"] == 0.25
            await talk.send("end_turn", transcript="go on")
            assert "balance" in (await talk.until("error"))[-1]["message"]
            assert (await talk.closed())[0] == 1008
        await booked(gw)
        assert at.balance(1) == 0
        assert at.balance(2) == UNIT
        rows = at.usage()
        assert sorted(row["model"] for row in rows) == ["speaks", "speaks", "speaks", "thinks"]


@asynccontextmanager
async def resuming(gw: Gateway, ready: dict[str, Any], received: int) -> AsyncIterator[Talk]:
    """Open the session again, of which so many messages were received."""
    url = f"{gw.url}{PATH}/ws/{ready['resume_token']}?received={received}"
    async with gw.session.ws_connect(url, max_msg_size=0) as socket:
        yield Talk(socket, ready["session_token"])


async def test_a_session_goes_on_after_its_connection_was_lost(journal: Journal) -> None:
    async with serving(journal, pause=3) as (gw, voice):
        session = await created(gw, reconnect_seconds=30)
        async with gw.session.ws_connect(session["websocket_url"], max_msg_size=0) as socket:
            talk = Talk(socket, session["session_token"])
            ready = await talk.next()
            assert ready["resumed"] is False
            await talk.send("end_turn", transcript="hello")
            first = await talk.until("audio")
            await voice.pauses()
            break_off(talk)
        path = f"{PATH}/{talk.token}"
        # Of the first turn, two messages have not arrived, let us say.
        async with resuming(gw, ready, len(first) - 2) as talk:
            again = await talk.next()
            assert (again["type"], again["resumed"], again["received"]) == ("ready", True, 1)
            assert [await talk.next(), await talk.next()] == first[-2:]
            # The old connection is not known to be dead: the new one takes its place.
            async with resuming(gw, again, len(first)) as newer:
                last = await newer.next()
                assert (await talk.closed())[0] == 4001
                voice.go.set()
                rest = [*first, *await newer.until("turn_complete")]
                assert "".join(each["text"] for each in of("text", rest)) == ANSWER
                assert rest[-1]["output_transcript"] == ANSWER
                # A token that was told long ago opens nothing.
                async with resuming(gw, ready, 0) as late:
                    assert (await late.closed())[0] == 4004
                # So a client says that it opens another one.
                await newer.socket.close(code=4001)
        assert (await gw.request("DELETE", path)).status == 200
        async with resuming(gw, last, 0) as late:
            assert (await late.closed())[0] == 4004
        assert not gw.manager.waiting()


async def test_a_lost_session_waits_no_longer_than_it_was_asked_to(journal: Journal) -> None:
    async with serving(journal, pause=0) as (gw, voice):
        session = await created(gw, reconnect_seconds=1)
        async with gw.session.ws_connect(session["websocket_url"]) as socket:
            talk = Talk(socket, session["session_token"])
            ready = await talk.next()
            await talk.send("end_turn", transcript="hello")
            await voice.pauses()
            break_off(talk)
        async with asyncio.timeout(PATIENCE):
            await voice.left.wait()
        while (await gw.request("GET", f"{PATH}/{talk.token}")).status != 404:
            await asyncio.sleep(0.01)
        async with resuming(gw, ready, 0) as late:
            assert (await late.closed())[0] == 4004


async def test_what_a_client_ends_is_not_kept(journal: Journal) -> None:
    async with serving(journal) as (gw, _):
        session = await created(gw, reconnect_seconds=60)
        async with gw.session.ws_connect(session["websocket_url"]) as socket:
            await Talk(socket, "").next()
        path = f"{PATH}/{session['session_token']}"
        while (await gw.request("GET", path)).status != 404:
            await asyncio.sleep(0.01)
