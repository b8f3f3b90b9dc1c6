"""A client of a gateway: whole answers, streams, and answers byte by byte."""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from raw_client import PATIENCE, RawClient, post
from stream_judge import check_stream

from server.routes import is_admin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from fake_engine import Journal

# The gateway's tests run both ways: .ci/run sets the variable for a second run.
FAST_LANE = os.environ.get("TEST_FAST_LANE") != "off"
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"

# The fakes run on the Python of the tests.
os.environ.setdefault("LLM_GATEWAY_PYTHON", sys.executable)


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return str(self.json["choices"][0]["message"]["content"])

    def error(self, status: int, code: str) -> dict[str, Any]:
        """Assert that this answer is an error in OpenAI's shape, and return it."""
        assert (self.status, self.json["error"]["code"]) == (status, code), self.body
        return checked_error(self.json)


def checked_error(body: dict[str, Any]) -> dict[str, Any]:
    """Assert that ``body`` is an error in OpenAI's shape and nothing else, and return it."""
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert {"message", "type", "param", "code"} <= error.keys()
    assert error["message"]
    assert error["type"]
    return error


def chat_body(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """Return a chat request of one user message, for four tokens."""
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 4, **fields}


@dataclass
class GatewayClient:
    """A client of the gateway at ``port``, which starts fakes that write into ``journal``.

    ``token`` is the admin token.
    """

    port: int
    journal: Journal
    session: aiohttp.ClientSession
    token: str
    clients: list[RawClient] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def post(self, body: bytes | dict[str, Any], path: str = CHAT, **more: Any) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.request("POST", path, data=data, **more)

    async def request(self, method: str, path: str, **more: Any) -> Answer:
        """Return the answer to this request; it has the admin token if the path needs one.

        A stream must be one as its API promises, unless ``check`` is false.
        """
        check = more.pop("check", True)
        if is_admin(path.partition("?")[0]):
            more.setdefault("headers", {"X-Admin-Token": self.token})
        async with self.session.request(method, self.url + path, **more) as response:
            answer = Answer(response.status, response.headers, await response.read())
        if check:
            check_stream(path, answer.headers.get("Content-Type", ""), answer.body)
        return answer

    async def chat(self, text: str = "hello", **fields: Any) -> Answer:
        return await self.post(chat_body(text, **fields))

    async def health(self) -> Any:
        return (await self.request("GET", "/health")).json

    async def connect(self) -> RawClient:
        self.clients.append(await RawClient.connect(self.port))
        return self.clients[-1]

    async def stream(self, text: str = "hello", **fields: Any) -> RawClient:
        """Send a streaming request; nothing of its answer is read yet."""
        return await self.stream_of(CHAT, chat_body(text, **{"stream": True, **fields}))

    async def stream_of(self, path: str, body: dict[str, Any]) -> RawClient:
        """Send this request; nothing of its answer is read yet."""
        client = await self.connect()
        await client.send(post(path, json.dumps(body).encode()))
        return client

    def starts(self) -> list[int]:
        """Return the contexts of the engines that were started, in order."""
        starts = self.journal.events("start", who="llama-server")
        return [int(event["argv"][event["argv"].index("-c") + 1]) for event in starts]

    def engine_requests(self, path: str = CHAT) -> list[dict[str, Any]]:
        """Return the requests that engines got at ``path``, in order."""
        return self.journal.events("request", path=path)


@asynccontextmanager
async def client_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session whose time-out is that of a test."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:
        yield session
