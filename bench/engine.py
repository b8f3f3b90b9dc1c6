"""A fake engine that costs almost nothing, so that the benchmark measures the proxy.

It has as much of llama-server's API as a measurement needs, over a hand-written asyncio.Protocol.
The ``max_tokens`` of a chat request is its number of chunks, and ``bench_delay`` the seconds
between them; ``bench_prefill`` those before the first. With ``--ready-after`` it answers 503 at
first. It writes the monotonic time at which it became ready to ``--ready-file``.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
from pathlib import Path
from typing import cast

import orjson
import uvloop

JSON = b"Content-Type: application/json; charset=utf-8\r\n"
LOADING = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
CHUNK = (
    b'data: {"choices":[{"finish_reason":%s,"index":0,"delta":%s}],"created":1700000000,'
    b'"id":"chatcmpl-NBb6yCuWyEBQQXWzYAeeHADIsYRJq8ks","model":"bench",'
    b'"system_fingerprint":"b0-bench","object":"chat.completion.chunk"}\n\n'
)
WHOLE = (
    b'{"choices":[{"finish_reason":"length","index":0,"message":{"role":"assistant",'
    b'"content":"Hello there, how are you?"}}],"created":1700000000,"model":"bench",'
    b'"system_fingerprint":"b0-bench","object":"chat.completion","usage":{"completion_tokens":6,'
    b'"prompt_tokens":32,"total_tokens":38,"prompt_tokens_details":{"cached_tokens":0}},'
    b'"id":"chatcmpl-NBb6yCuWyEBQQXWzYAeeHADIsYRJq8ks"}'
)


def framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nX-Accel-Buffering: no\r\n"
    b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
FIRST = framed(
    CHUNK % (b"null", b'{"role":"assistant","content":null}')
    + CHUNK % (b"null", b'{"content":" hello"}')
)
TOKEN = framed(CHUNK % (b"null", b'{"content":" hello"}'))
LAST = framed(CHUNK % (b'"length"', b"{}")) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def response(status: bytes, body: bytes) -> bytes:
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"HTTP/1.1 %s\r\nServer: llama.cpp\r\n%s%s%s" % (status, JSON, length, body)


OK = b"200 OK"
WHOLE_RESPONSE = response(OK, WHOLE)
GETS = {b"/health": response(OK, b'{"status":"ok"}')}
COUNT_RESPONSE = response(OK, b'{"input_tokens":32,"object":"response.input_tokens"}')
NOT_FOUND = response(b"404 Not Found", b'{"error":{"message":"File Not Found","code":404}}')
LOADING_RESPONSE = response(b"503 Service Unavailable", LOADING)


def describe(context: int) -> None:
    """Let the engine say that it has one slot of so many tokens."""
    size = {"n_ctx": context}
    slots = [{"id": 0, **size, "is_processing": False}]
    props = {"default_generation_settings": size, "total_slots": 1, "model_alias": "bench"}
    models = {"object": "list", "data": [{"id": "bench", "object": "model", "meta": size}]}
    for path, said in ((b"/slots", slots), (b"/props", props), (b"/v1/models", models)):
        GETS[path] = response(OK, orjson.dumps(said))


class Readiness:
    """Whether the engine still loads; once ready, it stays ready."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.now = False

    def begin(self) -> None:
        if self._path is not None:
            self._path.write_text(str(asyncio.get_running_loop().time()), encoding="ascii")
        self.now = True


class Engine(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, readiness: Readiness, pieces: list[bytes], delay: float) -> None:
        self._ready = readiness
        self._pieces = pieces
        self._delay = delay
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = 0
            if head[:4] == b"POST":
                lowered = head.lower()
                at = lowered.index(b"content-length:") + 15
                stop = lowered.find(b"\r", at)
                length = int(lowered[at : stop if stop > 0 else None])
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b" ", 2)
        if not self._ready.now:
            self._write(LOADING_RESPONSE)
        elif method == b"GET":
            self._write(GETS.get(target, NOT_FOUND))
        elif target.endswith(b"/input_tokens"):
            self._write(COUNT_RESPONSE)
        else:
            request = orjson.loads(body)
            if request.get("stream"):
                chunks, delay = request["max_tokens"], request.get("bench_delay", self._delay)
                if prefill := request.get("bench_prefill", 0.0):
                    # uvloop counts in whole milliseconds.
                    self._timer = self._loop.call_later(prefill, self._stream, chunks, delay)
                else:
                    self._stream(chunks, delay)
            else:
                self._write(WHOLE_RESPONSE)

    def _stream(self, chunks: int, delay: float) -> None:
        self._write(STREAM_HEAD + FIRST)
        if delay:
            self._later(self._loop.time(), 1, chunks, delay)
        else:
            self._write(TOKEN * (chunks - 1) + LAST)

    def _later(self, start: float, sent: int, chunks: int, delay: float) -> None:
        if sent == chunks:
            self._write(LAST)
            return
        # Counted from the start, so that small errors do not add up.
        at = start + sent * delay
        self._timer = self._loop.call_at(at, self._token, start, sent, chunks, delay)

    def _token(self, start: float, sent: int, chunks: int, delay: float) -> None:
        self._write(self._pieces[sent % len(self._pieces)])
        self._later(start, sent + 1, chunks, delay)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    readiness = Readiness(args.ready_file)
    pieces = [TOKEN]
    if args.text is not None:
        pieces = [
            framed(CHUNK % (b"null", orjson.dumps({"content": piece})))
            for piece in orjson.loads(args.text.read_bytes())
        ]
    server = await loop.create_server(
        functools.partial(Engine, readiness, pieces, args.delay),
        args.host,
        args.port,
        backlog=1024,
    )
    loop.call_later(args.ready_after, readiness.begin)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ready-after", type=float, default=0.0)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("-c", type=int, default=8192, dest="context")
    args, _ = parser.parse_known_args()
    describe(args.context)
    uvloop.run(serve(args))


if __name__ == "__main__":
    main()
