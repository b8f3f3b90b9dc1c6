"""The load generator, in its own process: connections that send requests and time the answers.

``python -m bench.load`` reads Plans, each a line of JSON, and prints a Result as JSON for each.
It uses raw bytes over a hand-written protocol, so that the proxy runs out of CPU first. Only
well-formed answers count: another status than 200, a cut-off answer or a missing chunk ends the
run with an error.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from typing import NoReturn, cast

import orjson
import uvloop

END_OF_CHUNKS = b"\r\n0\r\n\r\n"
# The events of a chat stream beside its content: role, finish, [DONE].
EXTRA_EVENTS = 3


@dataclass(frozen=True)
class Plan:
    """What one run of the load does."""

    port: int
    connections: int
    requests: int  # of each connection, at most
    seconds: float  # after which no new request is sent
    stream: bool = False
    chunks: int = 1
    delay: float = 0.0
    timeout: float = 60.0
    key: str = ""
    prefill: float = 0.0
    model: str = "bench"


@dataclass
class Result:
    """The result of a run, with times in seconds."""

    wall: float = 0.0
    whole: list[float] = field(default_factory=list)  # request sent → answer complete
    first: list[float] = field(default_factory=list)  # request sent → first content
    first_at: float = 0.0  # monotonic time of the very first content
    events: int = 0


def request_bytes(plan: Plan) -> bytes:
    body = {
        "model": plan.model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Say hello to everyone who reads this, please."},
        ],
        "max_tokens": plan.chunks,
        "stream": plan.stream,
    }
    if plan.delay:
        body["bench_delay"] = plan.delay
    if plan.prefill:
        body["bench_prefill"] = plan.prefill
    data = orjson.dumps(body)
    key = f"Authorization: Bearer {plan.key}\r\n".encode() if plan.key else b""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n%s"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (key, len(data), data)
    )


class Client(asyncio.Protocol):
    """One connection; it sends the next request as soon as it has the answer."""

    def __init__(self, plan: Plan, result: Result, deadline: float) -> None:
        self._plan = plan
        self._request = request_bytes(plan)
        self._result = result
        self._deadline = deadline
        self._left = plan.requests
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.done.done():
            self.done.set_exception(ConnectionError("closed in the middle of an answer"))

    def _ask(self) -> None:
        self._head = b""
        self._missing = -1  # bytes of the body to come; -1: the head is not complete
        self._tail = b""
        self._events = 0
        self._seen_content = False
        if self._transport is not None:
            self._asked = time.perf_counter()
            self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._missing == -1:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            # The line end of the head counts as part of the body, which may be empty.
            data = self._head[end + 2 :]
            self._head = self._head[:end].lower()
            if not self._head.startswith(b"http/1.1 200"):
                self._fail(f"not answered: {self._head[:80]!r} {data[:200]!r}")
                return
            at = self._head.find(b"content-length:")
            if at >= 0:
                self._missing = int(self._head[at + 15 :].split(b"\r", 1)[0]) + 2
            else:
                self._missing = -2
        if self._missing >= 0:
            self._missing -= len(data)
            if self._missing == 0:
                self._answered()
            return
        joined = self._tail + data
        # Count a mark that begins in the tail; one that ends in the tail was counted before.
        self._events += joined.count(b"data: ") - self._tail.count(b"data: ")
        if not self._seen_content and self._events:
            self._seen_content = True
            now = time.perf_counter()
            self._result.first.append(now - self._asked)
            self._result.first_at = self._result.first_at or time.monotonic()
        self._tail = joined[-len(END_OF_CHUNKS) :]
        if self._tail == END_OF_CHUNKS:
            if self._events != self._plan.chunks + EXTRA_EVENTS:
                self._fail(f"{self._events} events instead of {self._plan.chunks + EXTRA_EVENTS}")
                return
            self._answered()

    def _answered(self) -> None:
        now = time.perf_counter()
        self._result.whole.append(now - self._asked)
        self._result.events += self._events
        self._left -= 1
        if self._left > 0 and now < self._deadline:
            self._ask()
        elif not self.done.done():
            self.done.set_result(True)

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(why))


async def run(plan: Plan) -> Result:
    loop = asyncio.get_running_loop()
    result = Result()
    begin = time.perf_counter()
    clients: list[Client] = []

    def client() -> Client:
        clients.append(Client(plan, result, begin + plan.seconds))
        return clients[-1]

    for _ in range(plan.connections):
        await loop.create_connection(client, "127.0.0.1", plan.port)
    async with asyncio.timeout(plan.timeout):
        await asyncio.gather(*(each.done for each in clients))
    result.wall = time.perf_counter() - begin
    return result


def main() -> None:
    """Run each plan on the input in a child of its own, which has imported everything already."""
    os.set_blocking(1, True)
    gc.disable()
    for line in sys.stdin.buffer:
        child = os.fork()
        if not child:
            _answer(Plan(**orjson.loads(line)))
        if os.waitpid(child, 0)[1]:
            sys.exit("a run of the load has failed")


def _answer(plan: Plan) -> NoReturn:
    """Run the plan, write the result, and end the process."""
    status = 1
    try:
        # Write to the descriptor until the last byte: the buffered writer has lost the end of a
        # large result when the pipe was full.
        rest = memoryview(orjson.dumps(asdict(uvloop.run(run(plan)))) + b"\n")
        while rest:
            rest = rest[os.write(1, rest) :]
        status = 0
    except Exception:  # noqa: BLE001 - shown, and the status tells
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
