"""Models asked in turn, with less room than they need: chats, embeddings, and speech."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import openai
import psutil
import pytest
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config, lua_model
from speech import ESPEAK, share_weights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MODELS = ("small", "large", "embed")
CLIENTS = 4
REQUESTS = 3
# Loads of a second each, one after the other, on a machine that may be busy.
PATIENT = pytest.mark.timeout(300)


def models(binary: str, tiny: Path) -> str:
    args = f'"-m", "{tiny}", "-c", 512, "-np", 1, "-t", 1, "--no-warmup"'
    embed = (
        f'{{ name = "embed", variants = {{ {{ binary = "{binary}", context = 512, '
        f'args = {{ {args}, "--embeddings", "--pooling", "mean" }} }} }} }}'
    )
    chats = (
        lua_model("small", binary, (512,), file=tiny),
        lua_model("large", binary, (1024,), file=tiny),
    )
    return ", ".join((*chats, embed))


def text(number: int) -> str:
    """Return a text that no other request has; each has a length of its own."""
    return "red " * number


class Counter:
    """Return the largest number of engines that were seen at once."""

    def __init__(self, served: Gateway) -> None:
        self._process = psutil.Process(served.process.pid)
        self.most = 0

    def look(self) -> None:
        self.most = max(self.most, len(self._process.children()))


async def chat(api: openai.AsyncOpenAI, model: str, number: int) -> int:
    """Read a streamed answer; return its number of prompt tokens."""
    stream = await api.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": text(number)}],
        max_tokens=6,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    chunks = [chunk async for chunk in stream]
    assert {chunk.model for chunk in chunks} == {model}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6
    return chunks[-1].usage.prompt_tokens


async def tokens(api: openai.AsyncOpenAI, number: int) -> int:
    """Do the same with a text to embed."""
    answer = await api.embeddings.create(model="embed", input=text(number))
    assert len(answer.data) == 1
    return answer.usage.prompt_tokens


@asynccontextmanager
async def library(served: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{served.url}/v1", api_key="none", max_retries=0
    ) as api:
        yield api


@PATIENT
@pytest.mark.parametrize("room", [1, 2, 3])
@pytest.mark.parametrize("engine", ONE)
async def test_everybody_gets_the_model_asked_for(
    engine: str, room: int, tmp_path: Path, tiny: Path
) -> None:
    server = f"max_loaded_models = {room}, max_switch_wait = 5"
    config = lua_config(tmp_path, models(ENGINES[engine], tiny), server)
    with gateway(tmp_path, config) as served:
        engines = Counter(served)
        async with library(served) as api:

            async def client(name: int) -> list[tuple[str, int, int]]:
                found = []
                for each in range(REQUESTS):
                    model, number = MODELS[(name + each) % len(MODELS)], 1 + REQUESTS * name + each
                    asked: Any = (
                        tokens(api, number) if model == "embed" else chat(api, model, number)
                    )
                    found.append((model, number, await asked))
                    engines.look()
                return found

            answers = [
                each for part in await asyncio.gather(*map(client, range(CLIENTS))) for each in part
            ]
        assert {model for model, _, _ in answers} == {*MODELS}
        # One more word is one more token: each got the answer to its own words.
        for model in MODELS:
            assert len({told - number for asked, number, told in answers if asked == model}) == 1
        assert 1 <= engines.most <= room
        children = psutil.Process(served.process.pid).children()
        assert served.stop() == 0
        assert not [child for child in children if child.is_running()]


ROOM_FOR_TWO = {
    "count": 'max_loaded_models = 2, resources = { ram = "9GiB" }',
    "memory": 'max_loaded_models = 3, resources = { ram = "2GiB" }',
}


def three_kinds(binary: str, tiny: Path) -> str:
    """Return models that chat, hear and speak, each of which needs half of the memory."""
    need = 'needs = { ram = "1GiB" }'
    args = f'"-m", "{tiny}", "-c", 512, "-np", 1, "-t", 1, "--no-warmup"'
    speaks = "espeak" if ESPEAK else "piper"
    return (
        f'{{ name = "chat", variants = {{ {{ binary = "{binary}", context = 512, {need}, '
        f"args = {{ {args} }} }} }} }},"
        f'{{ name = "hears", engine = presets.engines.whisper,'
        f' variants = {{ {{ args = {{ "-t", "1" }}, {need} }} }} }},'
        f'{{ name = "speaks", engine = presets.engines.{speaks}, variants = {{ {{ {need} }} }} }}'
    )


@PATIENT
@pytest.mark.parametrize("room", ROOM_FOR_TWO)
@pytest.mark.parametrize("engine", ONE)
async def test_chat_transcription_and_speech_take_turns(
    engine: str, room: str, tmp_path: Path, tiny: Path, weights: Path
) -> None:
    share_weights(weights, tmp_path)
    models = three_kinds(ENGINES[engine], tiny)
    with gateway(tmp_path, lua_config(tmp_path, models, ROOM_FOR_TWO[room])) as served:
        engines = Counter(served)
        async with library(served) as api:

            async def speak() -> bytes:
                answer = await api.audio.speech.create(
                    model="speaks", voice="alloy", input="Thank you.", response_format="wav"
                )
                return answer.content

            sound = await speak()

            async def ask(kind: str, number: int) -> bool:
                if kind == "hears":
                    heard = await api.audio.transcriptions.create(model=kind, file=("a", sound))
                    return heard.usage is not None
                return bool(await (speak() if kind == "speaks" else chat(api, kind, number)))

            async def client(first: int) -> list[bool]:
                done = []
                for turn in range(REQUESTS):
                    done.append(await ask(("chat", "hears", "speaks")[(first + turn) % 3], first))
                    engines.look()
                return done

            # Each client waits for each kind; one that got no turn would never end.
            answers = await asyncio.gather(*map(client, range(3)))
        assert all(all(each) and len(each) == REQUESTS for each in answers)
        assert engines.most == 2
