"""``Hub``: asks the hub what it has, and for the bytes of files.

Redirects are followed here, because the token goes to the hub's own host only: its files lie on
other hosts. Proxies are those of the environment; a ``.netrc`` is not read, for its passwords would
go along.
"""

from __future__ import annotations

import asyncio
import random
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urljoin, urlsplit

import aiohttp
import orjson

from models.discovery.scan import this_machine
from models.downloads.account import HubAccount, account, token_file
from models.downloads.choice import RemoteFile
from models.downloads.faults import passes, pause, refusal, unavailable, wait_told
from utils.errors import HubAnsweredWrong, HubOffline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_REFUSED = 400
# Part of the path of a ranged answer: not a refusal of the file.
_BEYOND = 416
_PARTIAL = 206
_MOST_PAGES = 100
_LARGEST_PAGE = 32 << 20
_BUFFER = 1 << 20
# Seconds for a connection, and for the next byte.
CONNECT, SILENCE = 20.0, 60.0
TRIES = 5
# What may go wrong on the way.
BROKEN = (aiohttp.ClientError, TimeoutError, ConnectionError)


class Hub:
    """A hub, by the user's ``account``. Leave the block when nothing is asked any more.

    ``wait`` sleeps between two tries. ``silence`` is how long a server may send nothing.
    """

    def __init__(
        self,
        account: HubAccount,
        *,
        tries: int = TRIES,
        silence: float = SILENCE,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.account = account
        self.tries = tries
        self.wait = wait
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=silence)
        self._session = aiohttp.ClientSession(
            timeout=timeout,
            headers={"User-Agent": "llm-gateway", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()

    async def files(self, repo: str, revision: str) -> tuple[str, list[RemoteFile]]:
        """Return the commit of the revision, and every file of it.

        Raises a GatewayError that says why the hub does not tell.
        """
        said, _ = await self._json(f"/api/models/{repo}/revision/{quote(revision, safe='')}", repo)
        commit = str(_member(said, "sha"))
        url: str | None = f"/api/models/{repo}/tree/{quote(commit, safe='')}?recursive=true"
        found: list[RemoteFile] = []
        for _ in range(_MOST_PAGES):
            if url is None:
                return commit, found
            page, url = await self._json(url, repo)
            if not isinstance(page, list):
                raise HubAnsweredWrong(f"The hub does not list the files of {repo}.")
            found += [file for each in page if (file := _file(each)) is not None]
        raise HubAnsweredWrong(f"{repo} has too many files to list.")

    async def search(self, words: str, limit: int = 20) -> list[dict[str, Any]]:
        """Return the repositories with GGUF files that these words find, the most used first."""
        query = {"search": words, "filter": "gguf", "sort": "downloads", "limit": str(limit)}
        found, _ = await self._json(f"/api/models?{urlencode(query)}", f"search for {words!r}")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    async def read(self, url: str, about: str, first: int, count: int) -> bytes:
        """Return ``count`` bytes of a file from ``first`` on; fewer only at its end."""
        for failed in range(1, self.tries + 1):
            try:
                headers = {"Range": f"bytes={first}-{first + count - 1}"}
                async with self.opened(url, about, headers) as answer:
                    if answer.status != _PARTIAL:
                        raise HubAnsweredWrong(f"The hub gives no part of {about}.")
                    return await answer.content.read(-1)
            except BROKEN as error:
                if failed == self.tries:
                    raise unavailable(about, said_of(error), told_by(error)) from error
                await self.wait(pause(failed, random.random(), told_by(error)))  # noqa: S311 - spreads clients
        raise AssertionError("unreachable")

    def address(self, repo: str, commit: str, path: str) -> str:
        """Return where the file of this version is to be had."""
        return f"{self.account.endpoint}/{repo}/resolve/{quote(commit, safe='')}/{quote(path)}"

    @asynccontextmanager
    async def opened(
        self, url: str, about: str, headers: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for ``url`` and yield the answer, whose body is not read yet.

        Raises the GatewayError of a refusal that stays, and one of BROKEN for what may pass.
        """
        for _ in range(_MOST_REDIRECTS):
            answer = await self._ask(url, headers)
            try:
                if answer.status in _REDIRECTS and "Location" in answer.headers:
                    url = urljoin(url, answer.headers["Location"])
                    if urlsplit(url).scheme not in {"http", "https"}:
                        raise HubAnsweredWrong(f"The hub sends {about} to {url}.")
                    continue
                self._refuse(answer, url, about)
                yield answer
                return
            finally:
                answer.close()
        raise HubAnsweredWrong(f"The hub sends {about} around in circles.")

    def _refuse(self, answer: aiohttp.ClientResponse, url: str, about: str) -> None:
        status, told = answer.status, answer.headers
        if status < _REFUSED or status == _BEYOND:
            return
        if passes(status):
            raise Passing(status, wait_told(told))
        # A link to a file that has expired is refused by the file's host; a new one is given.
        if not self.account.is_hub(url):
            raise Passing(status)
        path = url.removeprefix(self.account.endpoint).removeprefix("/api/models")
        page = self.account.page("/".join(path.split("/")[1:3]))
        raise refusal(status, told, about, page, token=bool(self.account.token))

    async def _ask(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        own = {}
        if self.account.token and self.account.is_hub(url):
            own = {"Authorization": f"Bearer {self.account.token}"}
        return await self._session.get(
            url, headers={**headers, **own}, allow_redirects=False, proxy=_proxy(url)
        )

    async def _json(self, path: str, about: str) -> tuple[Any, str | None]:
        """Return what the hub answers, and the address of the next page, if there is one."""
        url = path if "://" in path else f"{self.account.endpoint}{path}"
        if self.account.offline:
            raise HubOffline(f"HF_HUB_OFFLINE is set, so the hub is not asked for {about}.")
        for failed in range(1, self.tries + 1):
            try:
                async with self.opened(url, about, {}) as answer:
                    body = await answer.content.read(_LARGEST_PAGE)
                    while more := await answer.content.read(_LARGEST_PAGE):
                        body += more
                        if len(body) > _LARGEST_PAGE:
                            raise HubAnsweredWrong(f"The hub's answer about {about} is too long.")
                    following = answer.links["next"].get("url") if "next" in answer.links else None
                    # A page elsewhere would be asked without the token, and is none of the hub's.
                    near = following is not None and self.account.is_hub(str(following))
                    return _decoded(body, about), str(following) if near else None
            except BROKEN as error:
                if failed == self.tries:
                    raise unavailable(about, said_of(error), told_by(error)) from error
                await self.wait(pause(failed, random.random(), told_by(error)))  # noqa: S311 - spreads clients
        raise AssertionError("unreachable")


class Passing(ConnectionError):
    """A refusal that may pass; ``told`` are the seconds that the server asks to wait."""

    def __init__(self, status: int, told: float = 0.0) -> None:
        super().__init__(f"the server answered {status}")
        self.told = told


def hub_here() -> Hub:
    """Return the hub by this user's settings."""
    machine = this_machine()
    try:
        stored = Path(token_file(machine)).read_text(encoding="utf-8")
    except (OSError, ValueError):
        stored = ""
    return Hub(account(machine, stored))


def said_of(error: BaseException) -> str:
    """Return what went wrong, for a person."""
    if isinstance(error, TimeoutError):
        return "the server sent nothing for too long"
    return str(error) or type(error).__name__


def told_by(error: BaseException) -> float:
    """Return the seconds that the server asked to wait; 0 if it did not."""
    return error.told if isinstance(error, Passing) else 0.0


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for this address."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return found if "://" in found else f"http://{found}"


def _decoded(body: bytes, about: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return orjson.loads(body)
    except ValueError:
        raise HubAnsweredWrong(f"The hub's answer about {about} is not JSON.") from None


def _member(said: object, name: str) -> object:
    if not isinstance(said, dict) or not isinstance(said.get(name), str):
        raise HubAnsweredWrong(f"The hub's answer has no '{name}'.")
    return said[name]


def _file(said: object) -> RemoteFile | None:
    """Return the file of an entry; None for a folder, and for what is not understood."""
    if not isinstance(said, dict) or said.get("type") != "file":
        return None
    stored = said.get("lfs")
    large = isinstance(stored, dict)
    digest = stored.get("oid") if isinstance(stored, dict) else said.get("oid")
    path, size = said.get("path"), said.get("size")
    if not isinstance(path, str) or not isinstance(digest, str) or type(size) is not int:
        return None
    return RemoteFile(path, size, digest.removeprefix("sha256:"), large)
