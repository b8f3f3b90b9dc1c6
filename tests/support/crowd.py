"""Hundreds of clients at once, each with its own question, and the answer that each one got."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from gateway_client import CHAT, chat_body, checked_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fake_engine import Event

# Seconds for all clients. It is long because machines may be busy; nothing is measured by it.
CROWD_PATIENCE = 240.0


@dataclass(frozen=True)
class Asked:
    """A client's request. The client leaves after ``patience`` seconds, answered or not."""

    name: str
    model: str
    tokens: int
    stream: bool
    patience: float | None = None

    @property
    def body(self) -> bytes:
        fields = {"model": self.model, "max_tokens": self.tokens, "stream": self.stream}
        return json.dumps(chat_body(self.name, **fields)).encode()

    @property
    def expected(self) -> str:
        """Return the text that the fake answers to this client only."""
        return " ".join(f"{self.name}.{number}" for number in range(self.tokens))


@dataclass
class Got:
    """What a client has received."""

    status: int = 0
    text: str = ""
    ends: int = 0  # how many ends of the answer were received
    error: dict[str, Any] = field(default_factory=dict)
    cut: bool = False
    left: bool = False

    @property
    def end(self) -> str:
        """Return how the answer ended: answered, left, cut, or with the error of this code."""
        if self.left:
            return "left"
        return str(self.error.get("code") or ("cut" if self.cut else "answered"))

    def check(self, asked: Asked) -> None:
        """Assert that the answer is complete and the client's own, or that it ends in an error."""
        if self.left:
            assert asked.expected.startswith(self.text)
        elif self.error:
            assert asked.expected.startswith(self.text)
            assert self.ends == 0, "an error after the end"
        elif self.cut:
            assert not asked.stream, "a stream ended without an error event"
            assert not self.text
        else:
            assert (self.status, self.text, self.ends) == (200, asked.expected, 1)


def crowd(
    seed: int, number: int, models: Sequence[str], *, leaving: float = 0.0, within: float = 0.0
) -> list[Asked]:
    """Return ``number`` requests; the share ``leaving`` leaves at random ``within`` seconds."""
    dice = random.Random(seed)
    return [
        Asked(
            f"s{seed}c{each}",
            dice.choice(models),
            dice.randint(1, 12),
            stream=dice.random() < 0.7,
            patience=dice.uniform(0.0, within) if dice.random() < leaving else None,
        )
        for each in range(number)
    ]


async def answers(url: str, asked: Iterable[Asked]) -> list[Got]:
    """Send all requests at once; return what the clients received."""
    connections = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=CROWD_PATIENCE)
    async with aiohttp.ClientSession(connector=connections, timeout=timeout) as session:
        return await asyncio.gather(*(_answer(session, url, each) for each in asked))


async def _answer(session: aiohttp.ClientSession, url: str, asked: Asked) -> Got:
    got = Got()
    try:
        async with asyncio.timeout(asked.patience):
            async with session.post(url + CHAT, data=asked.body) as response:
                got.status = response.status
                if response.content_type == "text/event-stream":
                    await _read_stream(response, got)
                else:
                    _read_whole(await response.json(), got)
    except aiohttp.ClientPayloadError:
        # Without its proper end, so that no client takes the answer for a complete one.
        got.cut = True
    except TimeoutError:
        assert asked.patience is not None, f"{asked} waits for ever"
        got.left = True
    return got


async def _read_stream(response: aiohttp.ClientResponse, got: Got) -> None:
    async for line in response.content:
        if not line.startswith(b"data: "):
            assert line.strip() == b"" or line.startswith(b":"), line
            continue
        assert not got.ends, "something after [DONE]"
        assert not got.error, "something after an error"
        if line == b"data: [DONE]\n":
            got.ends += 1
            continue
        data = json.loads(line[6:])
        if "error" in data:
            got.error = checked_error(data)
        elif data["choices"]:
            got.text += data["choices"][0]["delta"].get("content") or ""


def _read_whole(body: Any, got: Got) -> None:
    if got.status == 200:
        got.text = body["choices"][0]["message"]["content"]
        got.ends = 1
    else:
        got.error = checked_error(body)


def most_engines(events: Iterable[Event], killed: dict[int, float]) -> int:
    """Return how many engines ran at once, at most. ``killed``: when which process was killed."""
    changes: list[tuple[float, int]] = []
    ends: dict[int, float] = dict(killed)
    for event in events:
        if event["event"] == "start":
            changes.append((event["t"], 1))
        elif event["event"] in {"sigterm", "exit"} and event["pid"] not in killed:
            # A fake that gets SIGTERM while it loads ends without another event.
            ends[event["pid"]] = event["t"]
    changes += [(moment, -1) for moment in ends.values()]
    return _peak(sorted(changes))


def most_requests(events: Iterable[Event]) -> int:
    """Return how many requests one engine answered at once, at most, of the finished ones."""
    running: dict[int, int] = {}
    most = 0
    for event in events:
        change = {"request": 1, "ending": -1}.get(event["event"], 0)
        if change and event.get("path", CHAT) == CHAT:
            running[event["pid"]] = running.get(event["pid"], 0) + change
            most = max(most, running[event["pid"]])
    return most


def _peak(changes: Iterable[tuple[float, int]]) -> int:
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
