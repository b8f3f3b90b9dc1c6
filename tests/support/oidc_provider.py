"""A small provider of OpenID Connect: one person logs in, without a page."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

CLIENT, SECRET = "gateway", "s3cret"


@dataclass
class Provider:
    """Says that ``claims`` are true of all who come; what is asked must be right."""

    port: int = 0
    claims: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log_in(self, query: Mapping[str, str]) -> str:
        """Return the URL to which the provider sends the browser back."""
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return f"{query['redirect_uri']}?code={code}&state={query['state']}"

    async def page(self, request: web.Request) -> web.Response:
        """The page of a provider that knows its person: it sends the browser back at once."""
        raise web.HTTPFound(self.log_in(request.query))

    async def describe(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/login?theme=dark",
                "token_endpoint": f"{self.issuer}/token",
            }
        )

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        challenge = urlsafe_b64encode(sha256(str(form["code_verifier"]).encode()).digest())
        if (
            asked is None
            or asked["code_challenge"] != challenge.rstrip(b"=").decode()
            or asked["redirect_uri"] != form["redirect_uri"]
            or (form["client_id"], form["client_secret"]) != (CLIENT, SECRET)
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "exp": time.time() + 60,
            "nonce": asked["nonce"],
            **self.claims,
        }
        parts = [urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in ({}, claims)]
        return web.json_response({"id_token": b".".join([*parts, b"x"]).decode()})


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Serve a provider on this machine inside the block."""
    serves = Provider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", serves.describe)
    app.router.add_get("/login", serves.page)
    app.router.add_post("/token", serves.token)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    serves.port = runner.addresses[0][1]
    try:
        yield serves
    finally:
        await runner.cleanup()


@contextmanager
def provider_in_a_thread() -> Iterator[Provider]:
    """Serve a provider inside the block, for tests that are not asynchronous."""
    loop, over, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    found: list[Provider] = []

    async def serve() -> None:
        async with provider() as serves:
            found.append(serves)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
