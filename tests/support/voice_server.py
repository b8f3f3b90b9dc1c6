"""A server that hears, thinks and speaks as a test says, for voice sessions of a whole gateway."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web
from builders import TIMEOUTS, variant
from gateway import running_gateway
from raw_client import PATIENCE

from models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_engine import Journal
    from gateway import Gateway

RATE = 24000
ANSWER = "Good morning, dear friend. How are you?"
SECONDS = 0.01
"""The length of speech for each character."""


@dataclass
class VoiceServer:
    """It hears the ``heard`` texts one after the other, and answers ``says``.

    Before the word numbered ``pause`` of an answer it waits for ``go``; ``left`` is set when the
    gateway hangs up meanwhile. ``pauses_at`` has such numbers for questions of their own.
    ``fault`` is a path that answers with 500, ``deaf`` one that waits for ``go`` at first.
    """

    url: str = ""
    says: str = ANSWER
    heard: list[str] = field(default_factory=lambda: ["hello there"])
    pause: int | None = None
    pauses_at: dict[str, int] = field(default_factory=dict)
    fault: str = ""
    deaf: str = ""
    go: asyncio.Event = field(default_factory=asyncio.Event)
    paused: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    chats: list[dict[str, Any]] = field(default_factory=list)
    spoken: list[dict[str, Any]] = field(default_factory=list)
    sounds: list[bytes] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def models(self) -> list[ModelSpec]:
        """Return the models ``thinks``, ``hears`` and ``speaks``."""
        return [
            self._model("thinks", "text", "tools"),
            self._model("hears", "audio"),
            self._model("speaks", "speech"),
        ]

    def questions(self) -> list[list[str]]:
        """Return what each chat was asked, as the contents of its messages."""
        return [[str(each["content"]) for each in chat["messages"]] for chat in self.chats]

    async def pauses(self) -> None:
        """Return when an answer has come to its pause."""
        async with asyncio.timeout(PATIENCE):
            await self.paused.wait()

    def _model(self, name: str, *able: str) -> ModelSpec:
        own: dict[str, Any] = {"engine": "remote", "name": "default", "parallel": 8}
        timeouts = replace(TIMEOUTS, health_check=5.0)
        spec = variant(None, name, url=self.url, timeouts=timeouts, **own)
        return ModelSpec(name=name, variants=(spec,), capabilities=frozenset(able))

    async def list(self, _request: web.Request) -> web.Response:
        data = [{"id": name, "object": "model"} for name in ("thinks", "hears", "speaks")]
        return web.json_response({"object": "list", "data": data})

    async def hear(self, request: web.Request) -> web.Response:
        # Not by ``post``, whose files stay open where the gateway hangs up.
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            data = await part.read()
            if part.name == "file":
                self.sounds.append(bytes(data))
        if request.path == self.deaf:
            self.paused.set()
            await self.go.wait()
        self._fail(request)
        return web.json_response({"text": self.heard.pop(0)})

    async def speak(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.spoken.append(body)
        self._fail(request)
        return web.Response(body=b"\1\0" * int(len(body["input"]) * SECONDS * RATE))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.chats.append(await request.json())
        self._fail(request)
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)

        async def event(delta: dict[str, Any], **more: Any) -> None:
            choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}
            data = {"id": "x", "object": "chat.completion.chunk", "choices": [choice], **more}
            await answer.write(f"data: {json.dumps(data)}\n\n".encode())

        try:
            pause = self.pauses_at.get(self.questions()[-1][-1], self.pause)
            for number, word in enumerate(self.says.split(" ") if self.says else []):
                if number == pause:
                    self.paused.set()
                    await self.go.wait()
                await event({"content": word if number == 0 else f" {word}"})
        except asyncio.CancelledError:
            self.left.set()
            raise
        if self.calls:
            await event({"tool_calls": self.calls})
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        await event({}, finish="stop", usage=usage)
        await answer.write(b"data: [DONE]\n\n")
        return answer

    def _fail(self, request: web.Request) -> None:
        if request.path == self.fault:
            raise web.HTTPInternalServerError(text='{"error": {"message": "it is broken"}}')


@asynccontextmanager
async def voice_server(**more: Any) -> AsyncIterator[VoiceServer]:
    """Run such a server inside the block."""
    server = VoiceServer(**more)
    app = web.Application()
    app.router.add_get("/v1/models", server.list)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/v1/audio/transcriptions", server.hear)
    app.router.add_post("/v1/audio/speech", server.speak)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.go.set()
        await runner.cleanup()


@asynccontextmanager
async def serving(
    journal: Journal, settings: dict[str, Any] | None = None, **server: Any
) -> AsyncIterator[tuple[Gateway, VoiceServer]]:
    """Run a gateway with the models of such a server inside the block; it holds all of them."""
    async with (
        voice_server(**server) as voice,
        running_gateway(
            journal, *voice.models(), **{"max_loaded_models": 3, **(settings or {})}
        ) as gw,
    ):
        yield gw, voice


def speech(seconds: float, loud: int = 8000, rate: int = RATE) -> bytes:
    """Return a tone, which is as loud as speech."""
    wave_ = [loud.to_bytes(2, "little", signed=True), (-loud).to_bytes(2, "little", signed=True)]
    return b"".join(wave_) * int(seconds * rate / 2)


def silence(seconds: float) -> bytes:
    """Return samples without a sound."""
    return bytes(int(seconds * RATE) * 2)
