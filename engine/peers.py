"""``PeerDirectory``: asks each peer again and again which models it has, and what they do."""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import orjson

from models.routing.peers import Listing, read_listing, with_load, with_voices
from utils.logger import get_logger
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from models.routing.peers import Told
    from utils.config.peers import PeerTable

_log = get_logger("peers")
_OK = 200
# Bytes of the longest list that is read.
_LARGEST = 4 * 1024 * 1024


class PeerDirectory:
    """What is known of the peers; ``changed`` is called when their models have changed."""

    def __init__(self) -> None:
        self.changed: Callable[[], object] = lambda: None
        self.listings: dict[str, Listing] = {}
        self._alive: set[str] = set()
        # Those whose load is not told, which is logged once.
        self._silent: set[str] = set()
        self._tasks = TaskOwner("peers")
        self._peers: Mapping[str, PeerTable] = {}
        self._each: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._running = False

    def alive(self, peer: str) -> bool:
        """Return whether the peer answered when it was last asked."""
        return peer in self._alive

    def told(self, peer: str, model: str) -> Told | None:
        """Return what the peer last told of its model of this name; None if nothing."""
        listing = self.listings.get(peer, Listing())
        return next((each for each in listing.models if each.name == model), None)

    def watch(self, peers: Mapping[str, PeerTable]) -> None:
        """Ask these peers from now on; those that stay as they were go on."""
        before, self._peers = self._peers, peers
        for name, task in list(self._each.items()):
            if peers.get(name) != before.get(name):
                task.cancel()
                del self._each[name]
                self._alive.discard(name)
                self.listings.pop(name, None)
        if self._running:
            for name, peer in peers.items():
                if name not in self._each:
                    self._each[name] = self._tasks.spawn(self._follow(peer), name)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask the peers inside the block."""
        self._running = True
        try:
            self.watch(self._peers)
            yield
        finally:
            self._running = False
            await self._tasks.cancel()
            if self._session is not None:
                await self._session.close()

    async def _follow(self, peer: PeerTable) -> None:
        while True:
            await self._look(peer)
            await asyncio.sleep(peer.refresh)

    async def _look(self, peer: PeerTable) -> None:
        name = peer.name
        try:
            listing = await self._listing(peer)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            if name in self._alive or name not in self.listings:
                _log.warning("the peer %s at %s does not answer: %r", name, peer.url, error)
            self._alive.discard(name)
            # Its models stay known: it may come back, or be woken.
            self.listings.setdefault(name, Listing())
            return
        before = self.listings.get(name, Listing())
        if name not in self._alive:
            _log.info("the peer %s has %d model(s)", name, len(listing.models))
        self._alive.add(name)
        self.listings[name] = listing
        if listing.lasting() != before.lasting():
            self.changed()

    async def _listing(self, peer: PeerTable) -> Listing:
        key = peer.api_key or os.environ.get(peer.api_key_env or "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        listing = read_listing(await self._asked(peer, "/v1/models", headers), peer)
        if listing.gateway and listing.speaks:
            # A gateway of an older version may have no such page.
            with contextlib.suppress(ValueError):
                voices = await self._asked(peer, "/v1/audio/voices", headers)
                listing = with_voices(listing, voices)
        token = peer.admin_token or os.environ.get(peer.admin_token_env or "")
        if not (listing.gateway and token):
            return listing
        try:
            return with_load(listing, await self._asked(peer, "/running", {"X-Admin-Token": token}))
        except ValueError as error:
            if peer.name not in self._silent:
                self._silent.add(peer.name)
                _log.warning("the peer %s does not tell its load: %s", peer.name, error)
            return listing

    async def _asked(self, peer: PeerTable, path: str, headers: Mapping[str, str]) -> object:
        """Return the JSON of a page; raise ValueError if there is none."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        async with self._session.get(
            f"{peer.url.removesuffix('/v1')}{path}",
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=peer.timeout),
            allow_redirects=False,
        ) as response:
            if response.status != _OK:
                raise ValueError(f"status {response.status}")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > _LARGEST:
                    raise ValueError(f"{path} is too long")
            page: object = orjson.loads(body)
            return page
