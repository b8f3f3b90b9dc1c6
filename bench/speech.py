"""Speech: a sentence heard and a text spoken, by the bare engines and through the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from bench import targets
from bench.report import number, percentile, say
from engine.whisper.asked import Asked, form_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

HEADING = "Speech"
T = TypeVar("T")
SENTENCE = "The quick brown fox jumps over the lazy dog near the river."
FIRST = "Certainly."
EARS, VOICE, CHAT = "ears", "voice", "chat"
TOKEN = {"X-Admin-Token": "bench"}
NEEDS = 'needs = { ram = "1GiB" }'
ROOM_FOR_THREE = 'max_loaded_models = 3, resources = { ram = "3GiB" }'
ROOM_FOR_TWO = {
    "max_loaded_models": 'max_loaded_models = 2, resources = { ram = "3GiB" }',
    "resources": 'max_loaded_models = 3, resources = { ram = "2GiB" }',
}
FULL, QUICK, TURNS = 15, 1, 6


def configuration(folder: Path, port: int, room: str, *, quick: bool) -> str:
    # Threads that wait for each other keep busy the cores that other tests need.
    hearing = '"-t", "1"' if quick else ""
    args = targets.lua_list(["-m", targets.real_model(), "-c", "512", "-np", "1", "-t", "1"])
    return (
        f'server = {{ listen_v4 = "127.0.0.1:{port}", admin_token = "bench", '
        # One after another: the weights of the ears are made once.
        f"state_dir = {json.dumps(str(folder.parent / 'state'))}, {room} }}\n"
        f'models = {{ {{ name = "{EARS}", engine = presets.engines.whisper,\n'
        f"    variants = {{ {{ {NEEDS}, args = {{ {hearing} }} }} }} }},\n"
        f'  {{ name = "{VOICE}", engine = presets.engines.{targets.voice(quick=quick)},\n'
        f"    variants = {{ {{ {NEEDS} }} }} }},\n"
        f'  {{ name = "{CHAT}",\n'
        f"    variants = {{ {{ context = 512, args = {args}, {NEEDS} }} }} }} }}\n"
    )


class Asking:
    """Sends one request after another, and tells how long they take."""

    def __init__(self, session: aiohttp.ClientSession, port: int, *, quick: bool) -> None:
        self._session = session
        self._sentences = (FIRST, *(2 * (FIRST if quick else SENTENCE,)))
        self._url = f"http://127.0.0.1:{port}"
        self.sound = b""

    async def prepare(self) -> dict[str, str]:
        """Start both engines; return their addresses."""
        async with self._session.post(f"{self._url}/v1/audio/speech", json=speech(SENTENCE)) as got:
            self.sound = await got.read()
        await self.hear()
        async with self._session.get(f"{self._url}/running", headers=TOKEN) as got:
            return {each["model"]: each["url"] for each in (await got.json())["engines"]}

    async def hear(self, bare: str | None = None) -> float:
        """Return the seconds of a transcription; ``bare`` is the engine's own address."""
        texts = [("model", EARS)]
        path = "/v1/audio/transcriptions"
        if bare is not None:
            texts, path = form_for(Asked(), [], 3.5), "/inference"
        form = aiohttp.FormData()
        for name, text in texts:
            form.add_field(name, text)
        form.add_field("file", self.sound, filename="a.wav")
        begin = time.perf_counter()
        async with self._session.post(f"{bare or self._url}{path}", data=form) as got:
            assert got.status == 200
            assert await got.read()
        return time.perf_counter() - begin

    async def speak(self, bare: str | None = None, kind: str = "wav") -> tuple[float, float]:
        """Return the seconds until the first sound, and until the last; bare engines know WAV."""
        begin = time.perf_counter()
        first = 0.0
        if bare is not None:
            for number, text in enumerate(self._sentences):
                async with self._session.post(f"{bare}/synthesize", json={"text": text}) as got:
                    assert await got.read()
                if number == 0:
                    first = time.perf_counter() - begin
            return first, time.perf_counter() - begin
        async with self._session.post(
            f"{self._url}/v1/audio/speech", json=speech(" ".join(self._sentences), kind)
        ) as got:
            assert await got.content.readany()
            first = time.perf_counter() - begin
            await got.read()
        return first, time.perf_counter() - begin

    async def chat(self) -> float:
        """Return the seconds of a short chat."""
        body = {
            "model": CHAT,
            "max_tokens": 8,
            "messages": [{"role": "user", "content": "Say something."}],
        }
        begin = time.perf_counter()
        async with self._session.post(f"{self._url}/v1/chat/completions", json=body) as got:
            assert got.status == 200
            await got.read()
        return time.perf_counter() - begin


def speech(text: str, kind: str = "wav") -> dict[str, Any]:
    return {"model": VOICE, "input": text, "voice": "alloy", "response_format": kind}


async def compared(port: int, rounds: int, *, quick: bool) -> dict[str, list[tuple[float, float]]]:
    """Return the times of the bare engine and of the gateway, which take turns."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in FIGURES}
    async with aiohttp.ClientSession() as session:
        asking = Asking(session, port, quick=quick)
        urls = await asking.prepare()
        await asking.speak(urls[VOICE])
        for turn in range(rounds):
            heard = await by_turns(asking.hear, urls[EARS], turn)
            found["heard"].append(heard)
            bare, ours = await by_turns(asking.speak, urls[VOICE], turn)
            found["first"].append((bare[0], ours[0]))
            found["spoken"].append((bare[1], ours[1]))
            found["mp3"].append((bare[0], (await asking.speak(kind="mp3"))[0]))
    return found


async def by_turns(ask: Callable[[str | None], Awaitable[T]], bare: str, turn: int) -> tuple[T, T]:
    """Return what the bare engine and the gateway take; every other turn begins with the latter."""
    if turn % 2:
        ours = await ask(None)
        return await ask(bare), ours
    return await ask(bare), await ask(None)


async def in_turn(port: int, rounds: int, *, quick: bool) -> list[float]:
    """Return how long requests take that go to the three models in turn, from three clients."""
    async with aiohttp.ClientSession() as session:
        asking = Asking(session, port, quick=quick)
        await asking.prepare()

        async def client(offset: int) -> list[float]:
            times = []
            for turn in range(rounds):
                kind = (turn + offset) % 3
                if kind == 0:
                    times.append(await asking.hear())
                elif kind == 1:
                    times.append((await asking.speak())[1])
                else:
                    times.append(await asking.chat())
            return times

        found = await asyncio.gather(*map(client, range(3)))
    return [seconds for times in found for seconds in times]


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md."""
    rounds = QUICK if quick else FULL
    rows = [["", "bare engine", "gateway", "gateway / bare", "aim"]]
    say("speech, bare and through the gateway")
    with _gateway(folder / "side-by-side", ROOM_FOR_THREE, quick=quick) as port:
        found = asyncio.run(compared(port, rounds, quick=quick))
    for name, (title, aim) in FIGURES.items():
        bare, ours = zip(*found[name], strict=True)
        ratio = median(own / other for other, own in found[name])
        times = (number(1000 * median(each)) for each in (bare, ours))
        rows.append([title, *times, number(ratio), aim])
    say("speech and chat in turn")
    for name, room in list(ROOM_FOR_TWO.items())[: 1 if quick else None]:
        with _gateway(folder / name, room, quick=quick) as port:
            waits = asyncio.run(in_turn(port, QUICK if quick else TURNS, quick=quick))
        for told, share in (("p50", 0.5), ("the longest", 1.0)):
            title = f"in turn, room for two by {name}, {told}, ms"
            rows.append([title, "-", number(1000 * percentile(waits, share)), "-", ""])
    return rows, NOTES.format(rounds=rounds)


@contextlib.contextmanager
def _gateway(folder: Path, room: str, *, quick: bool) -> Iterator[int]:
    folder.mkdir()
    port = targets.free_port()
    with targets.configured(folder, port, configuration(folder, port, room, quick=quick)):
        yield port


FIGURES = {
    "heard": ("a sentence transcribed, ms", "≤ 350 ms, ≤ 1.1 of the bare engine"),
    "first": ("first audio of a text, ms", "≤ 300 ms, ≤ 1.1 of the bare engine"),
    "mp3": ("the same as MP3, ms", "≤ 300 ms"),
    "spoken": ("a text of three sentences spoken, ms", ""),
}
NOTES = """
- The embedded engines: Whisper tiny.en on whisper.cpp, Piper's server with the voice joe. Medians
  over {rounds} round(s) in which the bare engine and the gateway in front of it take turns, now the
  one first and now the other; the ratio is the median of the ratios of the rounds. The aims are for
  two quiet cores.
- As MP3: an encoder of its own process starts while the engine speaks; bare engines know WAV alone.
- In turn: three clients send a transcription, a text to speak and a chat of 8 tokens in turn, with
  room for two of the three engines: by `max_loaded_models = 2`, and by `resources` of 2 GiB, of
  which each needs one. The times have the loads in them.
"""
