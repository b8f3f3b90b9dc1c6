"""What the frame around every request costs: the gateway's own chain, and web.Application's.

Four servers answer the same small request without an engine. *bare*: aiohttp's ``web.Server`` and
nothing else. *lane*: ``server/middleware.py`` on ``server/lane.py``, as the gateway answers it.
*own chain*: the same on aiohttp's server, as the gateway answers it without its lane.
*web.Application*: the same chain as a middleware of an application with the gateway's paths.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from statistics import median
from typing import TYPE_CHECKING

import uvloop
from aiohttp import web

from bench import targets
from bench.load import Plan
from bench.report import number
from engine.llamacpp.type import LlamaCpp
from engine.types import EngineTypes
from inference.in_flight import RequestRegistry
from models.catalog import Catalog
from models.requests.endpoints import BY_PATH
from server.configuration import Configuration, CurrentConfiguration
from server.exchange import AiohttpRequest
from server.middleware import Middleware
from server.protocol import HttpServer
from server.routes import Route, Routes
from server.telemetry import Telemetry
from server.uploads.body import read_body
from utils.clock import LoopClock
from utils.config.settings import ServerSettings
from utils.logger import setup_logging

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiohttp.typedefs import Handler

    from server.middleware import RequestContext

HEADING = "The middleware"
SERVERS = ("bare", "lane", "own chain", "web.Application")
_ANSWER = b'{"object":"chat.completion"}'
_JSON = {"Content-Type": "application/json"}


def middleware(telemetry: Telemetry) -> Middleware:
    """Return the gateway's chain around a handler that reads the body and answers at once."""

    async def handle(ctx: RequestContext) -> None:
        await read_body(ctx)
        await ctx.response.answer(200, _JSON, _ANSWER)

    route = Route(handle, listed=True, work=True)
    table = Routes({path: {"POST": route} for path in BY_PATH}, {}, {}, {}, {}, route)
    configuration = Configuration.of(
        ServerSettings(), Catalog([]), EngineTypes([LlamaCpp(None, None)])
    )
    return Middleware(CurrentConfiguration(configuration), table, telemetry, LoopClock())


async def bare(request: web.BaseRequest) -> web.StreamResponse:
    """Read the body and answer, with nothing around it."""
    await request.read()
    return web.Response(body=_ANSWER, content_type="application/json")


def application(frame: Middleware) -> web.Server:
    """Return the server of an application whose middleware is the gateway's chain."""

    @web.middleware
    async def chain(request: web.Request, handler: Handler) -> web.StreamResponse:
        del handler  # the chain finds it by itself
        asked = AiohttpRequest.of(request)
        await frame.answer(asked)
        return asked.answered or web.StreamResponse()

    async def never(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPInternalServerError

    app = web.Application(middlewares=[chain])
    for path in BY_PATH:
        app.router.add_post(path, never)
    app.freeze()
    server = HttpServer(frame)
    # An AppRunner would bring connections of its own.
    server.request_handler = app._handle  # type: ignore[assignment]  # noqa: SLF001 - see above
    server.request_factory = app._make_request  # noqa: SLF001 - see above
    return server


async def serve(name: str, port: int) -> None:
    """Run one of the servers for ever."""
    telemetry = Telemetry(RequestRegistry())
    frame = middleware(telemetry)
    if name == "bare":
        server: web.Server = web.Server(bare, access_log=None)
    elif name == "web.Application":
        server = application(frame)
    else:
        server = HttpServer(frame, fast=lambda: name == "lane")
    runner = web.ServerRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    with telemetry.access.gathering():
        await asyncio.Event().wait()


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[targets.Target]:
    """Run one of the servers as a process."""
    port = targets.free_port()
    argv = [sys.executable, "-m", "bench.frame", "--serve", name, "--port", str(port)]
    with targets.running(argv, port, folder / "frame.log") as pid:
        yield targets.Target(name, port, pid)


def run(folder: Path, *, quick: bool) -> tuple[list[list[str]], str]:
    """Return the CPU time of a request in each server, and what the table means."""
    rounds, count = (1, 64) if quick else (25, 1600)
    cost: dict[str, dict[int, list[float]]] = {name: {1: [], 32: []} for name in SERVERS}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(name, folder)) for name in SERVERS]
        for target in servers:
            targets.load(Plan(target.port, 8, 50, seconds=20))
        for each in range(rounds):
            turn = each % len(servers)
            for target in servers[turn:] + servers[:turn]:
                for connections in (1, 32):
                    plan = Plan(target.port, connections, count // connections, seconds=30)
                    before = target.cpu_seconds()
                    done = len(targets.load(plan).whole)
                    cost[target.name][connections].append((target.cpu_seconds() - before) / done)
    rows = [["", *SERVERS, "lane / own chain", "web.Application / own chain"]]
    for connections in (1, 32):
        values = [cost[name][connections] for name in SERVERS]
        ratios = [[b / a for a, b in zip(values[2], values[each], strict=True)] for each in (1, 3)]
        plural = "s" if connections > 1 else ""
        rows.append(
            [
                f"CPU per request, {connections} connection{plural}, µs",
                *(number(median(each) * 1e6) for each in values),
                *(f"{median(each):.2f}" for each in ratios),
            ]
        )
    return rows, NOTES.format(rounds=rounds)


NOTES = """
- CPU time of the server process per request, the median of {rounds} round(s) in which the servers
  take turns. The request is a POST of 200 bytes; the answer comes at once, without an engine.
- *bare*: aiohttp's `web.Server`. *lane*: the gateway's `server/middleware.py` on `server/lane.py`.
  *own chain*: the same on aiohttp's server, as with `fast_lane = false`. *web.Application*: the
  same chain as the middleware of an application with the gateway's paths.
- The gateway has its own chain: the router and the larger request object of an application cost
  a tenth to a quarter more, and the gateway needs neither. Its paths are one literal table, and its
  middleware adds one coroutine to a request, not three.
"""


def main() -> None:
    """Serve one of the servers, for ``run``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=SERVERS, required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    setup_logging("info")
    uvloop.run(serve(args.serve, args.port))


if __name__ == "__main__":
    main()
