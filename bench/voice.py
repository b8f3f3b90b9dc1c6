"""Live voice: a conversation by sound, at the pace of speech, through the embedded engines.

A microphone sends a sound every 20 ms, speech or silence, as long as the session lasts.
"""

from __future__ import annotations

import array
import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import aiohttp

from bench import targets
from bench.report import number, say
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

HEADING = "Live voice"
CHAT, EARS, VOICE = "chat", "ears", "voice"
RATE, SAMPLE, FRAME = 24000, 2, 0.02
PIECE = int(RATE * FRAME) * SAMPLE
# Of the loudest sample; what is quieter at the ends of a sentence is no speech.
QUIET = 0.02
QUESTIONS = (
    "What is the weather going to be like tomorrow morning?",
    "Could you please tell me how long it takes to boil an egg?",
    "Tell me something about the city of London.",
    "Which animals live in the forest?",
    "What should I have for dinner tonight?",
)
SYSTEM = "You are a friendly helper. Answer in one or two short sentences, as in a conversation."
ANSWER, QUICK_ANSWER, LONG_ANSWER = 16, 4, 160
TURNS, QUICK_TURNS, INTERRUPTIONS, QUICK_INTERRUPTIONS = 20, 1, 10, 1
# Seconds of speech that interrupt an answer.
SPOKEN_OVER = 0.6
PATIENCE = 120.0


def configuration(folder: Path, port: int, *, quick: bool) -> str:
    # Threads that wait for each other keep busy the cores that other tests need.
    one = ["-t", "1"] if quick else []
    args = targets.lua_list(["-m", targets.real_model(), "-c", "4096", "-np", "1", *one])
    hearing = targets.lua_list(one)
    state = json.dumps(str(folder / "state"))
    return (
        f'server = {{ listen_v4 = "127.0.0.1:{port}", state_dir = {state}, '
        "max_loaded_models = 3 }\n"
        f'models = {{ {{ name = "{EARS}", engine = presets.engines.whisper,\n'
        f"    variants = {{ {{ args = {hearing} }} }} }},\n"
        f'  {{ name = "{VOICE}", engine = presets.engines.{targets.voice(quick=quick)} }},\n'
        f'  {{ name = "{CHAT}", variants = {{ {{ context = 4096, args = {args} }} }} }} }}\n'
    )


def trimmed(samples: bytes) -> bytes:
    """Return the samples without the silence at both ends."""
    loud = array.array("h", samples)
    least = QUIET * max(map(abs, loud))
    at = [number for number, sample in enumerate(loud) if abs(sample) > least]
    return samples[at[0] * SAMPLE : (at[-1] + 1) * SAMPLE]


@dataclass
class Turn:
    """What a client sees of one turn; times are of ``time.perf_counter``, 0 if it never was."""

    ended: float = 0.0
    stopped: float = 0.0
    first: float = 0.0
    seconds: float = 0.0
    number: int = 0
    told: dict[str, Any] = field(default_factory=dict)

    def stage(self, name: str) -> float:
        """Return the milliseconds from the decision until this, as the gateway tells them."""
        return float(self.told["timings"][f"{name}_ms"] or 0)


class Client:
    """One session, its microphone, and what came of its turns.

    ``silenced`` are the interrupted turns, and when; ``late`` counts sounds that came nevertheless.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.turn = Turn()
        self.silenced: dict[int, float] = {}
        self.late = 0
        self._speech = b""
        self._seen = asyncio.Condition()
        self._pongs = 0

    async def microphone(self) -> None:
        """Send what is said, and silence between, at the pace of speech, until it is cancelled."""
        due = time.perf_counter()
        while True:
            piece, self._speech = self._speech[:PIECE], self._speech[PIECE:]
            await self.socket.send_bytes(piece.ljust(PIECE, b"\0"))
            if piece and not self._speech:
                self.turn.ended = time.perf_counter()
            due += FRAME
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def listen(self) -> None:
        """Take in what the gateway tells, until it closes."""
        async for message in self.socket:
            self._take(json.loads(message.data), time.perf_counter())
            async with self._seen:
                self._seen.notify_all()

    def _take(self, told: dict[str, Any], now: float) -> None:
        kind, turn, number = told["type"], self.turn, told.get("turn_id", 0)
        if kind == "audio":
            self.late += number in self.silenced
            turn.number = number
            turn.first = turn.first or now
            turn.seconds += (len(base64.b64decode(told["audio"])) - 44) / (RATE * SAMPLE)
        elif kind == "interrupted":
            self.silenced[number] = now
        elif kind == "speech_stopped" and number:
            turn.stopped = now
        elif kind in ("turn_complete", "error"):
            turn.told = told
        elif kind == "pong":
            self._pongs += 1

    async def until(self, found: Callable[[], object]) -> None:
        """Return once what was seen makes this true."""
        async with asyncio.timeout(PATIENCE), self._seen:
            await self._seen.wait_for(found)

    async def ask(self, speech: bytes) -> Turn:
        """Return a whole turn; at the end, the client has heard its answer."""
        self.turn = turn = Turn()
        self._speech = speech
        await self.until(lambda: turn.told)
        assert turn.told["type"] == "turn_complete", turn.told
        await asyncio.sleep(max(0.0, turn.first + turn.seconds - time.perf_counter()) + 0.2)
        return turn

    async def interrupt(self, speech: bytes = b"") -> float:
        """Ask, and interrupt the answer with a message, or with speech.

        Return the seconds until the gateway says that it is silent.
        """
        self.turn = turn = Turn()
        await self.socket.send_json({"type": "end_turn", "transcript": "Tell me a long story."})
        await self.until(lambda: turn.first)
        begin = time.perf_counter()
        if speech:
            self._speech = speech
        else:
            await self.socket.send_json({"type": "interrupt"})
        await self.until(lambda: turn.number in self.silenced)
        if speech:
            await self.until(lambda: turn.stopped)
            await self.socket.send_json({"type": "interrupt"})
        # The answer to this comes after all that was still to be sent.
        pongs = self._pongs
        await self.socket.send_json({"type": "ping"})
        await self.until(lambda: self._pongs > pongs)
        return self.silenced[turn.number] - begin


@asynccontextmanager
async def talking(http: aiohttp.ClientSession, url: str, most: int) -> AsyncIterator[Client]:
    """Run a session inside the block, with answers of ``most`` tokens."""
    asked = {
        "llm_config": {
            "model": CHAT,
            "system_prompt": SYSTEM,
            "max_tokens": most,
            "temperature": 0,
            "history_length": 2 * TURNS + 2,
        },
        "audio_config": {"input_format": "pcm", "output_format": "wav", "sample_rate": RATE},
    }
    async with http.post(f"{url}/v1/audio/live", json=asked) as answer:
        session = await answer.json()
    async with http.ws_connect(session["websocket_url"], max_msg_size=0) as socket:
        client = Client(socket)
        tasks = TaskOwner("bench")
        tasks.spawn(client.microphone(), "microphone")
        tasks.spawn(client.listen(), "listen")
        try:
            yield client
        finally:
            await tasks.cancel()


async def measured(port: int, *, quick: bool) -> list[list[str]]:
    """Return the rows of the table."""
    turns = QUICK_TURNS if quick else TURNS
    interruptions = QUICK_INTERRUPTIONS if quick else INTERRUPTIONS
    url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as http:

        async def spoken(text: str) -> bytes:
            asked = {"model": VOICE, "input": text, "voice": "alloy", "response_format": "pcm"}
            async with http.post(f"{url}/v1/audio/speech", json=asked) as got:
                return trimmed(await got.read())

        questions = [await spoken(text) for text in QUESTIONS[: 1 if quick else None]]
        say(f"{turns} turns of a conversation")
        async with talking(http, url, QUICK_ANSWER if quick else ANSWER) as client:
            # The first loads the models.
            await client.ask(questions[-1])
            found = [
                await client.ask(questions[number % len(questions)]) for number in range(turns)
            ]
        say("interruptions")
        async with talking(http, url, LONG_ANSWER) as client:
            cut_in = questions[0][: int(SPOKEN_OVER * RATE) * SAMPLE]
            by_word = [await client.interrupt() for _ in range(interruptions)]
            by_voice = [await client.interrupt(cut_in) for _ in range(interruptions)]
    return [
        *rows_of(found),
        row("interrupt to silence, ms", [1000 * each for each in by_word], "≤ 150 ms"),
        row("speech that interrupts to silence, ms", [1000 * each for each in by_voice], ""),
        ["sounds after an interruption", str(client.late), "-", "-", "0"],
    ]


def rows_of(turns: list[Turn]) -> list[list[str]]:
    """Return the rows of a conversation."""
    stages = {
        "- of that the silence that ends a turn": [1000 * (t.stopped - t.ended) for t in turns],
        "- until it is understood": [t.stage("understood") for t in turns],
        "- until the model's first words": [
            t.stage("first_text") - t.stage("understood") for t in turns
        ],
        "- until its first clause is whole": [
            t.stage("first_clause") - t.stage("first_text") for t in turns
        ],
        "- until that is spoken": [t.stage("first_audio") - t.stage("first_clause") for t in turns],
    }
    whole = [1000 * (turn.first - turn.ended) for turn in turns]
    decided = [1000 * (turn.first - turn.stopped) for turn in turns]
    rows = [
        row("end of speech to first audio, ms", whole, "≤ 1,000 ms"),
        *(row(f"{name}, ms", times, "") for name, times in stages.items()),
        row("end of turn, as decided, to first audio, ms", decided, ""),
    ]
    few = max(1, len(turns) // 6)
    early, late = turns[:few], turns[-few:]
    for title, some in (("first", early), ("last", late)):
        times = [turn.stage("first_text") - turn.stage("understood") for turn in some]
        rows.append(row(f"the {title} {few} turn(s): understood to first words, ms", times, ""))
        usages = [turn.told["usage"] for turn in some]
        fresh = [float(each["tokens_in"] - each["tokens_cached"]) for each in usages]
        rows.append(row(f"the {title} {few} turn(s): tokens read once it is understood", fresh, ""))
    return rows


def row(title: str, values: list[float], aim: str) -> list[str]:
    """Return a row: the median, the least and the most."""
    return [title, number(median(values)), number(min(values)), number(max(values)), aim]


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the rows of the table, and the text below it in RESULTS.md."""
    port = targets.free_port()
    with targets.configured(folder, port, configuration(folder, port, quick=quick)):
        found = asyncio.run(measured(port, quick=quick))
    return [["", "median", "least", "most", "aim"], *found], NOTES.format(
        turns=QUICK_TURNS if quick else TURNS
    )


NOTES = """
- The embedded engines: Whisper tiny.en, the bundled llama-server with SmolLM2-135M, Piper's voice
  joe. A microphone sends 20 ms of sound every 20 ms; {turns} questions are spoken by Piper, without
  silence at their ends. Each is asked when the answer before has been heard. The models are loaded.
- The end of speech is when the last sample of a question was sent. The turn ends, as decided, when
  the gateway says `speech_stopped`. All other times are the gateway's own, as `turn_complete` tells
  them.
- An interruption is a message, or speech of which 300 ms are needed to be sure. Silence is when the
  gateway says `interrupted`: nothing of the answer is sent, or to be played, after that.
"""
