"""Engines that hear and speak, by OpenAI's library: whisper.cpp's server and the embedded ones.

What the voice says is what the ears are tried with.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import io
import json
import os
import signal
import urllib.request
import wave
from typing import TYPE_CHECKING, Any

import aiohttp
import openai
import pytest
from encoded import encoded
from real_engines import ADMIN, ENGINES, Gateway, gateway, lua_model, until
from speech import (
    ESPEAK,
    SENTENCES,
    WHISPER_SERVER,
    decoded_seconds,
    speech_config,
    word_errors,
    words,
)

from engine.sound.wav import wav_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The cheapest that speaks.
ROBOT = "robot" if ESPEAK else "speaks"
EARS = ["hears", *(["whisper"] if WHISPER_SERVER else [])]
TEXT = SENTENCES[2]


def found(folder: Path) -> str:
    """Return the weights of the embedded engine, which the other one reads as well."""
    [weights] = (folder / "state" / "speech").glob("*.bin")
    return str(weights)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("speech")
    # The weights are converted when the embedded engine starts, and not again.
    weights = folder / "state" / "speech" / "weights.bin"
    quick = lua_model("quick", ENGINES["bundled"], (1024,), file=tiny)
    config = speech_config(folder, WHISPER_SERVER, str(weights), more=quick)
    with gateway(folder, config) as running:
        with client(running) as api:
            heard(api, spoken(api, "Hi."))
        weights.symlink_to(found(folder))
        yield running


def client(served: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def said(served: Gateway) -> bytes:
    """``TEXT`` as a sound."""
    with client(served) as asking:
        return spoken(asking)


@pytest.fixture
def api(served: Gateway) -> Iterator[openai.OpenAI]:
    with client(served) as asking:
        yield asking


def spoken(api: openai.OpenAI, text: str = TEXT, **more: Any) -> bytes:
    usual = {"model": "speaks", "voice": "alloy", "response_format": "wav"}
    wanted: Any = {**usual, **more}
    return api.audio.speech.create(input=text, **wanted).content


def heard(api: openai.OpenAI, sound: bytes, model: str = "hears", **more: Any) -> Any:
    return api.audio.transcriptions.create(model=model, file=("a", sound), **more)


def admin(served: Gateway, path: str) -> Any:
    request = urllib.request.Request(f"{served.url}{path}", headers=ADMIN)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def engine(served: Gateway, model: str) -> dict[str, Any]:
    engines = admin(served, "/running")["engines"]
    return next((each for each in engines if each["model"] == model), {})


@contextlib.contextmanager
def held(served: Gateway, model: str) -> Iterator[int]:
    """Inside the block the model's engine stands still; yield its process."""
    pid: int = engine(served, model)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("model", EARS)
def test_what_was_said_is_heard_in_every_format(
    api: openai.OpenAI, said: bytes, model: str
) -> None:
    sound = said
    plain = heard(api, sound, model)
    assert word_errors(TEXT, plain.text) <= 1
    seconds = plain.usage.seconds
    assert 2 < seconds < 6
    if model == EARS[0]:
        # The gateway writes them itself, from what any of the engines says.
        # tests/unit/engine/whisper/test_transcript.py shows text and vtt, which are like this.
        assert " --> " in heard(api, sound, model, response_format="srt").splitlines()[1]
    told = heard(
        api,
        sound,
        model,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        prompt="A fox.",
        temperature=0.0,
    )
    assert (told.task, told.language) == ("transcribe", "english")
    # With a prompt, a word may be heard in another way.
    assert word_errors(TEXT, told.text) <= 1
    assert [words(word.word) for word in told.words] == [[word] for word in words(told.text)]
    starts = [word.start for word in told.words]
    assert starts == sorted(starts)
    assert told.words[-1].end <= told.duration + 1
    assert " ".join(each.text.strip() for each in told.segments) == told.text


@pytest.mark.parametrize("model", EARS)
def test_streams_and_translations(api: openai.OpenAI, said: bytes, model: str) -> None:
    sound = said
    events = list(heard(api, sound, model, stream=True))
    assert events[-1].type == "transcript.text.done"
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(deltas) == events[-1].text
    assert word_errors(TEXT, events[-1].text) <= 1
    # The library of OpenAI calls its own method old.
    with pytest.deprecated_call():
        translated = api.audio.translations.create(model=model, file=("a", sound))
    assert word_errors(TEXT, translated.text) <= 1


@pytest.mark.parametrize("model", EARS)
def test_sounds_at_fault(api: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.APIStatusError, match="no sound of a known kind") as refused:
        heard(api, b"#EXTM3U\n", model)
    assert refused.value.status_code == 415
    broken = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0" + bytes(8)
    with pytest.raises(openai.BadRequestError, match=r"cannot read the file|cannot be decoded"):
        heard(api, broken, model)
    with pytest.raises(openai.BadRequestError, match=r"cannot be decoded|has no sound"):
        heard(api, b"\x1a\x45\xdf\xa3" + bytes(200), model)
    with pytest.raises(openai.BadRequestError, match="'response_format' must be"):
        heard(api, broken, model, response_format="diarized_json")


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "aac", "wav", "pcm"])
def test_speech_in_every_format_begins_before_it_ends(
    served: Gateway, api: openai.OpenAI, kind: Any
) -> None:
    # What nobody hears may be short.
    text = f"{SENTENCES[0]} Thank you." if kind in {"opus", "pcm"} else "Good. Thank you."
    with api.audio.speech.with_streaming_response.create(
        model="speaks", voice="nova", input=text, response_format=kind
    ) as answer:
        sound = b"".join(answer.iter_bytes())
    if kind == "pcm":
        whole = io.BytesIO()
        with wave.open(whole, "wb") as file:
            file.setparams((1, 2, 24000, 0, "NONE", ""))
            file.writeframes(sound)
        sound = whole.getvalue()
    if kind in {"opus", "pcm"}:
        assert word_errors(text, heard(api, sound).text) <= 2
        assert admin(served, "/admin/api/requests")["requests"][0]["sound_seconds"] > 1


def test_speech_as_events_at_a_pace(served: Gateway, api: openai.OpenAI) -> None:
    body = {"model": "speaks", "voice": "joe", "input": "Good. Thank you.", "stream_format": "sse"}
    asked = json.dumps({**body, "response_format": "wav"}).encode()
    request = urllib.request.Request(f"{served.url}/v1/audio/speech", asked)
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        events = [json.loads(line[6:]) for line in response if line.startswith(b"data: ")]
    kinds = [event["type"] for event in events]
    assert kinds == ["speech.audio.delta"] * (len(events) - 1) + ["speech.audio.done"]
    short = SENTENCES[0]
    fast, slow = len(spoken(api, short, speed=2.0)), len(spoken(api, short, speed=0.5))
    assert 2.5 < slow / fast < 6


@pytest.mark.parametrize("model", ["robot"] if ESPEAK else [])
def test_the_machines_own_program_speaks_many_languages(
    served: Gateway, api: openai.OpenAI, model: str
) -> None:
    usual = spoken(api, model=model)
    assert heard(api, usual).text
    german = spoken(api, model=model, voice="de+f3")
    assert german != usual
    assert 1.5 < len(usual) / len(spoken(api, model=model, speed=2.0)) < 2.5
    listed = {each["id"] for each in admin(served, "/v1/audio/voices")["voices"]}
    assert {"de", "en", "fr-fr", "en_US-joe-medium"} < listed
    pid = engine(served, model)["pid"]
    with pytest.raises(openai.BadRequestError, match="no voice 'bob'"):
        spoken(api, model=model, voice="bob")
    assert engine(served, model)["pid"] == pid


def test_what_the_pages_tell(served: Gateway, api: openai.OpenAI) -> None:
    models = {model["id"]: model for model in admin(served, "/v1/models")["data"]}
    assert (models["hears"]["type"], models["hears"]["license"]) == ("audio", "MIT")
    assert (models["speaks"]["type"], models["speaks"]["license"]) == ("tts", "CC0-1.0")
    voices = admin(served, "/v1/audio/voices")["voices"]
    [voice] = [each for each in voices if each["model"] == "speaks"]
    assert (voice["id"], voice["model"]) == ("en_US-joe-medium", "speaks")
    with pytest.raises(openai.BadRequestError, match="no voice 'bob'"):
        api.audio.speech.create(model="speaks", voice="bob", input="Hi.")
    with pytest.raises(openai.BadRequestError, match="not configured for speech"):
        api.audio.speech.create(model="hears", voice="alloy", input="Hi.")


def test_an_engine_that_dies_while_it_hears_is_asked_again(
    served: Gateway, api: openai.OpenAI, said: bytes
) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with held(served, "hears") as first:
            asked = pool.submit(heard, api, said)
            until(lambda: engine(served, "hears").get("active") == 1)
            os.kill(first, signal.SIGKILL)
        assert word_errors(TEXT, asked.result(90).text) <= 1
    assert engine(served, "hears")["pid"] != first


def test_an_engine_that_dies_while_it_speaks_breaks_off(
    served: Gateway, api: openai.OpenAI
) -> None:
    # The two have the same client; this one starts in a tenth of the time.
    spoken(api, "Hi.", model=ROBOT)
    pid = engine(served, ROBOT)["pid"]
    with api.audio.speech.with_streaming_response.create(
        model=ROBOT, voice="nova", input=" ".join(SENTENCES * 20), response_format="mp3"
    ) as answer:
        pieces = answer.iter_bytes()
        assert next(pieces)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Exception, match=r"peer closed|incomplete|broke"):
            list(pieces)
    assert spoken(api, "Hi.", model=ROBOT)


async def conversation(served: Gateway, question: bytes) -> dict[str, Any]:
    """Say something to the bundled model by voice; return all that it told, by its types."""
    found: dict[str, Any] = {}
    asked = {
        "llm_config": {"model": "thinks", "max_tokens": 24, "temperature": 0},
        "audio_config": {"input_format": "wav", "output_format": "wav"},
    }
    async with aiohttp.ClientSession(f"{served.url}/") as session:
        async with session.post("/v1/audio/live", json=asked) as answer:
            url = (await answer.json())["websocket_url"]
        async with session.ws_connect(url, max_msg_size=0) as socket:
            await socket.send_bytes(question)
            # Silence ends the turn.
            await socket.send_bytes(bytes(2 * 24000))
            async for message in socket:
                told = json.loads(message.data)
                found.setdefault(told["type"], []).append(told)
                if told["type"] in ("turn_complete", "error"):
                    return found
    return found


def test_a_conversation(served: Gateway, api: openai.OpenAI, said: bytes) -> None:
    told = asyncio.run(conversation(served, said))
    question = told["transcript"][-1]["text"]
    [complete] = told["turn_complete"]
    answer = complete["output_transcript"]
    assert "".join(each["text"] for each in told["audio"]) == answer
    # What it says is understood again.
    files = [base64.b64decode(each["audio"]) for each in told["audio"]]
    sound = b"".join(file[44:] for file in files)
    understood = heard(api, wav_head(24000, len(sound)) + sound).text
    # Of all that was said by either, a tenth of the words at most.
    wrong = word_errors(TEXT, question) + word_errors(answer, understood)
    assert wrong <= len(words(TEXT) + words(answer)) / 10, (question, answer, understood)


async def talks(served: Gateway, pieces: list[bytes], **audio: str) -> dict[str, Any]:
    """Return the end of a turn whose sound comes in these pieces; each answer is whole."""
    asked = {
        "llm_config": {"model": "thinks", "max_tokens": 8},
        "audio_config": audio,
        "voice_config": {"model": ROBOT},
    }
    async with aiohttp.ClientSession(f"{served.url}/") as session:
        async with session.post("/v1/audio/live", json=asked) as answer:
            url = (await answer.json())["websocket_url"]
        async with session.ws_connect(url, max_msg_size=0) as socket:
            for piece in pieces:
                await socket.send_bytes(piece)
            if len(pieces) == 1:
                # Several have the silence in them that ends a turn.
                await socket.send_json({"type": "end_turn"})
            async for message in socket:
                told: dict[str, Any] = json.loads(message.data)
                assert told["type"] != "error", told
                if told["type"] == "audio":
                    assert told["format"] == audio["output_format"]
                    if told["format"] != "pcm":
                        assert decoded_seconds(base64.b64decode(told["audio"])) > 0.1
                    if "vanishes" in audio:
                        connection = socket._response.connection
                        assert connection is not None
                        assert connection.transport is not None
                        connection.transport.abort()
                        return told
                if told["type"] == "turn_complete":
                    return told
    raise AssertionError("there was no answer")


def test_three_sessions_at_once_in_every_format(served: Gateway, said: bytes) -> None:
    with wave.open(io.BytesIO(said)) as file:
        rate = file.getframerate()
        samples = file.readframes(file.getnframes())
    slices = encoded(samples + bytes(2 * rate), rate)
    assert len(slices) > 5
    mp3, opus = (b"".join(encoded(samples, rate, name)) for name in ("mp3", "ogg"))

    async def all_of_them() -> tuple[dict[str, Any], ...]:
        return await asyncio.gather(
            talks(served, slices, input_format="webm", output_format="opus"),
            talks(served, [mp3], input_format="mp3", output_format="wav"),
            talks(served, [opus], input_format="opus", output_format="wav", vanishes="yes"),
        )

    first, second, _ = asyncio.run(all_of_them())
    for told in (first, second):
        assert word_errors(TEXT, told["input_transcript"]) <= 1
        assert told["output_transcript"]
    # Who vanished in the middle of an answer has left nothing.
    until(lambda: not any(each["active"] for each in admin(served, "/running")["engines"]))


async def turns_by_text(served: Gateway, chat: Callable[[], object]) -> list[dict[str, int]]:
    """Have turns with a long prompt by text; return what each cost.

    Before the first, its beginning is said while the client still listens; before the third,
    ``chat`` is called.
    """
    asked = {
        "llm_config": {
            "model": "quick",
            "system_prompt": " ".join(SENTENCES),
            "max_tokens": 8,
            "temperature": 0,
        },
        "audio_config": {"input_format": "pcm", "output_format": "wav"},
        "voice_config": {"model": ROBOT},
    }
    costs: list[dict[str, int]] = []
    async with aiohttp.ClientSession(f"{served.url}/") as session:
        async with session.post("/v1/audio/live", json=asked) as answer:
            url = (await answer.json())["websocket_url"]
        async with session.ws_connect(url, max_msg_size=0) as socket:
            await socket.send_json({"type": "audio", "transcript": "What do sailors"})
            await asyncio.to_thread(until, lambda: has_read(served, 100))
            for text in ("What do sailors do?", "And what else?", "Is that all?"):
                if len(costs) == 2:
                    await asyncio.to_thread(chat)
                await socket.send_json({"type": "end_turn", "transcript": text})
                async for message in socket:
                    told = json.loads(message.data)
                    assert told["type"] != "error", told
                    if told["type"] == "turn_complete":
                        costs.append(told["usage"])
                        break
    return costs


def has_read(served: Gateway, tokens: int) -> bool:
    """Return whether the chat's engine is at rest, and its slot has so many tokens of a prompt."""
    with urllib.request.urlopen(f"{engine(served, 'quick')['url']}/slots", timeout=60) as answer:
        [slot] = json.load(answer)
    return not slot["is_processing"] and slot.get("n_prompt_tokens", 0) >= tokens


def test_a_turn_reads_only_what_is_new(served: Gateway, api: openai.OpenAI) -> None:
    def chat(*sentences: str) -> None:
        messages: Any = [{"role": "user", "content": " ".join(sentences)}]
        api.chat.completions.create(model="quick", messages=messages, max_tokens=4)

    chat("Hello.")
    costs = asyncio.run(turns_by_text(served, lambda: chat(*reversed(SENTENCES))))
    assert costs[0]["tokens_in"] > 100
    # The first was read while it was said; the second goes on; before the third, somebody else used
    # the slot.
    fresh = [each["tokens_in"] - each["tokens_cached"] for each in costs]
    assert max(fresh) < 32, costs


def test_one_sound_is_heard_at_a_time(served: Gateway, api: openai.OpenAI, said: bytes) -> None:
    def waits() -> bool:
        queue = admin(served, "/running")
        return [each.get("waits_for") for each in queue["queue"]] == ["slot"]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        with held(served, "hears"):
            first = pool.submit(heard, api, said)
            until(lambda: engine(served, "hears").get("active") == 1)
            second = pool.submit(heard, api, said)
            until(waits)
            assert engine(served, "hears")["active"] == 1
        assert all(word_errors(TEXT, each.result(60).text) <= 1 for each in (first, second))
