"""OpenAI's Realtime API by a whole gateway and OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

import pytest
from gateway import running_gateway
from later import Later
from raw_client import PATIENCE
from voice_server import ANSWER, serving, silence, speech, voice_server

from voice.g711 import Law, encoded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_engine import Journal
    from gateway import Gateway
    from openai.resources.realtime.realtime import AsyncRealtimeConnection

openai: Any = Later("openai")
CLOCK = {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}}

ELSEWHERE = {"type": "item_reference", "id": "elsewhere"}
SOUND = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}


@cache
def known() -> dict[str, Any]:
    """Return OpenAI's type of each event, by its name."""
    types = Later("openai.types.realtime")
    return {
        get_args(event.model_fields["type"].annotation)[0]: event
        for event in get_args(get_args(types.RealtimeServerEvent)[0])
    }


class Talk:
    """A session by OpenAI's client."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection

    async def next(self) -> Any:
        """Return the next event, which has all that the library's type of it demands."""
        async with asyncio.timeout(PATIENCE):
            data = await self.connection.recv_bytes()
        return known()[json.loads(data)["type"]].model_validate_json(data)

    async def until(self, *kinds: str) -> list[Any]:
        """Return the events up to the first of one of these types."""
        found = [await self.next()]
        while found[-1].type not in kinds:
            found.append(await self.next())
        return found

    async def send(self, kind: str, **fields: Any) -> None:
        event: Any = {"type": kind, **fields}
        await self.connection.send(event)

    async def say(self, samples: bytes) -> None:
        audio = base64.b64encode(samples).decode()
        await self.send("input_audio_buffer.append", audio=audio)

    async def user(self, text: str) -> None:
        """Add what the user has written."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)

    async def ask(self, text: str, **response: Any) -> list[Any]:
        """Return the events of an answer to this text."""
        await self.user(text)
        await self.send("response.create", **({"response": response} if response else {}))
        return await self.until("response.done")


@asynccontextmanager
async def talking(
    gw: Gateway, session: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Talk]:
    async with (
        openai.AsyncOpenAI(base_url=f"{gw.url}/v1", api_key="none") as client,
        client.realtime.connect(**{"model": "thinks", **more}) as connection,
    ):
        talk = Talk(connection)
        assert (await talk.next()).type == "session.created"
        if session is not None:
            await talk.send("session.update", session={"type": "realtime", **session})
            assert (await talk.next()).type == "session.updated"
        yield talk


def kinds(events: list[Any]) -> list[str]:
    """Return the types, of which those that repeat stand there once."""
    found: list[str] = []
    for event in events:
        if event.type not in found:
            found.append(event.type)
    return found


def of(kind: str, events: list[Any]) -> list[Any]:
    return [event for event in events if event.type == kind]


async def test_an_answer_to_a_text(journal: Journal) -> None:
    async with serving(journal) as (gw, voice):
        async with talking(gw, {"instructions": "Be kind."}) as talk:
            events = await talk.ask("hello")
            assert kinds(events) == [
                "conversation.item.added",
                "conversation.item.done",
                "response.created",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_audio_transcript.delta",
                "response.output_audio.delta",
                "response.output_audio.done",
                "response.output_audio_transcript.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.done",
            ]
            text = "".join(e.delta for e in of("response.output_audio_transcript.delta", events))
            assert text == ANSWER
            sound = b"".join(
                base64.b64decode(e.delta) for e in of("response.output_audio.delta", events)
            )
            assert len(sound) == 2 * 240 * (len(ANSWER) - 2)
            done = events[-1].response
            assert (done.status, done.usage.total_tokens) == ("completed", 12)
            assert done.output[0].content[0].transcript == ANSWER
            await talk.ask("and you")
        assert voice.questions()[1] == ["Be kind.", "hello", ANSWER, "and you"]


async def test_a_turn_by_voice(journal: Journal) -> None:
    async with serving(journal) as (gw, voice):
        async with talking(gw) as talk:
            await talk.say(silence(0.4) + speech(0.6) + silence(0.8))
            events = await talk.until("response.done")
            assert kinds(events)[:9] == [
                "input_audio_buffer.speech_started",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.delta",
                "conversation.item.input_audio_transcription.completed",
                "response.created",
                "response.output_item.added",
            ]
            [heard] = of("conversation.item.input_audio_transcription.completed", events)
            assert heard.transcript == "hello there"
            assert heard.item_id == events[0].item_id
        assert voice.questions() == [["hello there"]]


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_telephones_and_turns_that_the_client_ends(journal: Journal, kind: str) -> None:
    sound = {"format": {"type": kind}, "turn_detection": None}
    audio = {"input": sound, "output": {"format": {"type": kind}}}
    async with serving(journal) as (gw, voice), talking(gw, {"audio": audio}) as talk:
        law: Law = "ulaw" if kind == "audio/pcmu" else "alaw"
        await talk.send("input_audio_buffer.commit")
        assert "100 ms" in (await talk.next()).error.message
        await talk.say(encoded(speech(0.5, rate=8000), law))
        await talk.send("input_audio_buffer.clear")
        assert (await talk.next()).type == "input_audio_buffer.cleared"
        await talk.say(encoded(speech(0.5, rate=8000), law))
        await talk.send("input_audio_buffer.commit")
        # It is answered once it is understood.
        await talk.send("response.create")
        events = await talk.until("response.done")
        assert kinds(events)[0] == "input_audio_buffer.committed"
        sound_ = b"".join(
            base64.b64decode(e.delta) for e in of("response.output_audio.delta", events)
        )
        assert len(sound_) == 80 * (len(ANSWER) - 2)
        [file] = voice.sounds
        assert len(file) == 44 + 24000


async def test_speech_interrupts_and_the_client_says_what_was_heard(journal: Journal) -> None:
    async with (
        serving(journal, pause=3, heard=["stop it"]) as (gw, voice),
        talking(gw) as talk,
    ):
        await talk.user("a")
        await talk.send("response.create")
        events = await talk.until("response.output_audio.delta")
        answer = events[-1].item_id
        await talk.send("response.create")
        assert "under way" in (await talk.until("error"))[-1].error.message
        await talk.say(speech(0.5))
        done = (await talk.until("response.done"))[-1].response
        assert (done.status, done.status_details.reason) == ("cancelled", "turn_detected")
        await talk.send(
            "conversation.item.truncate", item_id=answer, content_index=0, audio_end_ms=70
        )
        assert (await talk.until("conversation.item.truncated"))[-1].audio_end_ms == 70
        voice.pause = None
        await talk.say(silence(0.8))
        await talk.until("response.done")
        assert voice.questions()[1] == ["a", "Good [INTERRUPTED BY USER]", "stop it"]


async def test_cancelling_text_and_options_of_one_answer(journal: Journal) -> None:
    text = {"output_modalities": ["text"]}
    async with serving(journal, pause=2) as (gw, voice), talking(gw, text) as talk:
        await talk.send("response.cancel")
        assert "no answer" in (await talk.next()).error.message
        await talk.user("hello")
        await talk.send("response.create")
        await voice.pauses()
        await talk.send("response.cancel")
        done = (await talk.until("response.done"))[-1].response
        assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")
        voice.pause = None
        events = await talk.ask("hello", instructions="Be brief.", max_output_tokens=9)
        assert "response.output_text.done" in kinds(events)
        assert events[-1].response.output[0].content[0].text == ANSWER
        await talk.ask("and")
        assert not voice.spoken
        _, once, after = voice.chats
        assert (once["messages"][0]["content"], once["max_tokens"]) == ("Be brief.", 9)
        assert (after["messages"][0]["role"], after["max_tokens"]) == ("user", 4096)


async def test_calls_of_functions(journal: Journal) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "clock", "arguments": "{}"}}
    async with (
        serving(journal, calls=[call], says="") as (gw, voice),
        talking(gw, {"tools": [CLOCK]}) as talk,
    ):
        events = await talk.ask("what time is it")
        [done] = of("response.function_call_arguments.done", events)
        assert (done.name, done.arguments, done.call_id) == ("clock", "{}", "c1")
        voice.calls, voice.says = [], "It is noon."
        result = {"type": "function_call_output", "call_id": "c1", "output": "noon"}
        await talk.send("conversation.item.create", item=result)
        await talk.send("response.create")
        await talk.until("response.done")
        asked, again = voice.chats
        assert asked["tools"][0]["function"]["name"] == "clock"
        roles = [message["role"] for message in again["messages"]]
        assert roles == ["user", "assistant", "tool"]


async def test_answers_beside_the_conversation(journal: Journal) -> None:
    heard = ["hello there"] * 2
    async with serving(journal, pause=3, heard=heard) as (gw, voice), talking(gw) as talk:
        await talk.user("hello")
        await talk.send("response.create")
        await voice.pauses()
        # The conversation's own answer is under way meanwhile.
        voice.pause = None
        what = {"conversation": "none", "output_modalities": ["text"], "metadata": {"for": "me"}}
        await talk.send("response.create", response={**what, "instructions": "Classify."})
        events = await talk.until("response.done")
        [begun] = [e for e in of("response.created", events) if e.response.metadata]
        assert begun.response.conversation_id is None
        done = events[-1].response
        assert (done.id, done.metadata, done.status) == ("resp_out_1", {"for": "me"}, "completed")
        assert done.output[0].content[0].text == ANSWER
        assert voice.questions()[1] == ["Classify.", "hello"]
        # An answer of its own input is spoken, and can be cancelled by its id.
        voice.pause = 1
        sound = base64.b64encode(speech(0.4)).decode()
        said = {"type": "message", "content": [{"type": "input_audio", "audio": sound}]}
        spoken = {"conversation": "none", "input": [said], "tool_choice": "none"}
        await talk.send("response.create", response=spoken)
        await talk.until("response.output_audio_transcript.delta")
        await talk.send("response.cancel", response_id="resp_out_2")
        done = (await talk.until("response.done"))[-1].response
        assert (done.id, done.status) == ("resp_out_2", "cancelled")
        voice.pause = None
        await talk.send("response.create", response=spoken)
        events = await talk.until("response.done")
        assert len(of("response.output_audio.delta", events)) == 3
        assert voice.questions()[2:] == [["hello there"]] * 2
        voice.go.set()
        # Nothing of that is in the conversation.
        assert (await talk.until("response.done"))[-1].response.id == "resp_1"
        await talk.ask("and", input=[{"type": "message", "content": [{"text": "alone"}]}])
        assert voice.questions()[-1] == ["alone"]
        await talk.ask("now")
        assert voice.questions()[-1] == ["hello", ANSWER, "and", ANSWER, "now"]


async def test_sound_in_items_and_the_choice_of_tools(journal: Journal) -> None:
    choice = {"type": "function", "name": "clock"}
    session = {"tools": [CLOCK], "tool_choice": choice, "output_modalities": ["text"]}
    async with serving(journal) as (gw, voice), talking(gw, session) as talk:
        sound = base64.b64encode(speech(0.4)).decode()
        content = [
            {"type": "input_text", "text": "I say:"},
            {"type": "input_audio", "audio": sound},
        ]
        item = {"type": "message", "role": "user", "content": content}
        await talk.send("conversation.item.create", item=item, previous_item_id="root")
        # It waits until the sound is understood.
        await talk.send("response.create")
        events = await talk.until("response.done")
        [heard] = of("conversation.item.input_audio_transcription.completed", events)
        assert (heard.content_index, heard.transcript) == (1, "hello there")
        await talk.ask("again", tool_choice="required")
        first, second = voice.chats
        assert first["messages"][-1]["content"] == "I say:\nhello there"
        assert first["tool_choice"] == {"type": "function", "function": {"name": "clock"}}
        assert second["tool_choice"] == "required"
        voice.fault = "/v1/audio/transcriptions"
        await talk.send("conversation.item.create", item=item)
        await talk.until("conversation.item.input_audio_transcription.failed")
        assert len(await talk.ask("go on")) > 3


async def test_a_user_who_says_nothing_is_spoken_to_once(journal: Journal) -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 100}
    session = {"audio": {"input": {"turn_detection": detection}}, "output_modalities": ["text"]}
    async with serving(journal) as (gw, voice), talking(gw, session) as talk:
        await talk.ask("hello")
        waited = await talk.until("response.done")
        assert kinds(waited)[:3] == [
            "input_audio_buffer.timeout_triggered",
            "input_audio_buffer.committed",
            "conversation.item.added",
        ]
        assert voice.questions()[1] == ["hello", ANSWER, "[The user says nothing.]"]
        await talk.ask("here I am")
        assert len(voice.chats) == 3


async def test_items_and_faults(journal: Journal) -> None:
    async with serving(journal, fault="/v1/chat/completions") as (gw, _), talking(gw) as talk:
        item = {"id": "mine", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
        await talk.send("conversation.item.create", item={"type": "message", **item})
        await talk.until("conversation.item.done")
        await talk.send("conversation.item.retrieve", item_id="mine")
        assert (await talk.next()).item.content[0].text == "a"
        await talk.send("conversation.item.delete", item_id="mine")
        assert (await talk.next()).item_id == "mine"
        for kind, fields, why in (
            ("conversation.item.delete", {"item_id": "mine"}, "an item of the conversation"),
            ("conversation.item.truncate", {"item_id": "x", "audio_end_ms": 1}, "was spoken"),
            ("input_audio_buffer.append", {"audio": "%"}, "base64"),
            ("session.update", {"session": {"audio": 3}}, "must be an object"),
            ("session.update", {"session": {"voice": 3}}, "name of a voice"),
            ("response.create", {"response": {"conversation": "mine"}}, "one of auto, none"),
            ("response.create", {"response": {"input": [ELSEWHERE]}}, "an item of the conv"),
            ("response.create", {"response": {"input": [SOUND]}}, "'conversation' is none"),
            ("session.update", {"session": {"tool_choice": {"type": "mcp"}}}, "name a function"),
            ("conversation.item.create", {"item": {"content": [{"image_url": ""}]}}, "of images"),
            ("conversation.item.create", {"item": {"content": [{"audio": "%"}]}}, "as base64"),
            ("output_audio_buffer.clear", {}, "is for WebRTC"),
            ("response.cancel", {"response_id": "resp_9"}, "no answer"),
            ("response.dance", {}, "'response.dance'"),
        ):
            await talk.send(kind, event_id="e", **fields)
            error = (await talk.next()).error
            assert why in error.message
            assert error.event_id == "e"
        done = (await talk.ask("hello"))[-1].response
        assert done.status == "failed"
        assert "it is broken" in done.status_details.error.message


async def test_transcription_alone(journal: Journal) -> None:
    query = {"intent": "transcription"}
    async with (
        serving(journal) as (gw, voice),
        talking(gw, model="hears", extra_query=query) as talk,
    ):
        await talk.say(speech(0.6) + silence(0.8))
        kind = "conversation.item.input_audio_transcription.completed"
        assert (await talk.until(kind))[-1].transcript == "hello there"
        await talk.send("response.create")
        assert "only transcribes" in (await talk.next()).error.message
        assert not voice.chats


async def test_the_names_of_the_beta(journal: Journal) -> None:
    async with serving(journal) as (gw, _):
        headers = {"OpenAI-Beta": "realtime=v1"}
        url = f"{gw.url}/v1/realtime?model=thinks"
        async with gw.session.ws_connect(url, headers=headers, protocols=("realtime",)) as socket:
            assert socket.protocol == "realtime"
            created = await socket.receive_json()
            assert created["session"]["input_audio_format"] == "pcm16"
            assert (await socket.receive_json())["type"] == "conversation.created"
            session = {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}
            await socket.send_json({"type": "session.update", "session": session})
            assert (await socket.receive_json())["session"]["turn_detection"]["eagerness"] == "high"
            content = [{"type": "input_text", "text": "a"}]
            item = {"type": "message", "role": "user", "content": content}
            await socket.send_json({"type": "conversation.item.create", "item": item})
            await socket.send_json({"type": "response.create"})
            seen = set()
            async with asyncio.timeout(PATIENCE):
                while "response.done" not in seen:
                    seen.add((await socket.receive_json())["type"])
            assert {"response.audio.delta", "response.audio_transcript.delta"} <= seen
            assert "conversation.item.created" in seen


async def test_without_a_voice_it_writes_and_without_a_model_it_is_refused(
    journal: Journal,
) -> None:
    async with voice_server() as voice:
        thinks, hears, _ = voice.models()
        async with running_gateway(journal, thinks, hears, max_loaded_models=2) as gw:
            async with talking(gw) as talk:
                assert "response.output_text.done" in kinds(await talk.ask("hello"))
            for model, status in (("nobody", 404), ("hears", 400)):
                answer = await gw.request("GET", f"/v1/realtime?model={model}", check=False)
                assert answer.status == status
            assert (await gw.request("GET", "/v1/realtime?model=thinks")).status == 400
