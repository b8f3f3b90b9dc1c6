"""A hub of models over real TCP: an address for its API, and another one for the files.

It answers as Hugging Face's does: commits, pages of files, redirects to another host that refuses
tokens, ranges with ``If-Range``. Faults are used up one by one.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TOKEN = "hf_" + "a" * 34
_PIECE = 1 << 16


# asyncio builds the text of what a fixture returns, and drops it: that of megabytes takes long.
@dataclass(repr=False)
class Repo:
    """A repository: its files by path. ``gated`` is "token" or "denied"."""

    files: dict[str, bytes] = field(default_factory=dict)
    small: dict[str, bytes] = field(default_factory=dict)
    gated: str = ""
    private: bool = False
    downloads: int = 0

    @property
    def commit(self) -> str:
        text = repr(sorted((p, sha256(c)) for p, c in {**self.files, **self.small}.items()))
        return hashlib.sha1(text.encode()).hexdigest()


@dataclass
class Fault:
    """What goes wrong with the next answer for ``file``, as often as ``times``.

    ``what`` is "reset" or "close" (after ``number`` bytes), "status" (``number``), "ignore range",
    "corrupt", "stall" (after ``number`` bytes), "short" (it says so many bytes fewer), "page" (a
    web page) or "hold" (after ``number`` bytes, until ``go_on`` is set).
    """

    what: str
    number: int = 0
    times: int = 1
    file: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    # A line breaks only after that: what a client has not read yet is lost.
    until: Callable[[], bool] = lambda: True


@dataclass(repr=False)
class FakeHub:
    """The hub. ``asked`` are the requests that came: (host, method, path, headers)."""

    repos: dict[str, Repo] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    page: int = 1000
    etags: bool = True
    port: int = 0
    files_port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, repo: str, path: str, content: bytes) -> str:
        """Add a file and return the sha256 of its content."""
        self.repos.setdefault(repo, Repo()).files[path] = content
        return sha256(content)

    def fault(self, what: str, number: int = 0, **more: Any) -> None:
        self.faults.append(Fault(what, number, **more))

    def ranges(self) -> list[str]:
        """Return the ranges that were asked for, "" for a whole file."""
        return [h.get("Range", "") for host, _, _, h in self.asked if host == "files"]

    # -- the API -------------------------------------------------------------------

    async def search(self, request: web.Request) -> web.Response:
        self._note("hub", request)
        self._refuse_by_fault("search")
        words = request.query.get("search", "").lower().split()
        found = [
            {
                "id": name,
                "downloads": repo.downloads,
                "likes": 1,
                "gated": bool(repo.gated),
                "private": repo.private,
                "lastModified": "2026-11-01T00:00:00.000Z",
            }
            for name, repo in self.repos.items()
            if all(word in name.lower() for word in words) and not repo.private
        ]
        found.sort(key=lambda each: -int(str(each["downloads"])))
        return web.json_response(found[: int(request.query.get("limit", 100))])

    async def revision(self, request: web.Request) -> web.Response:
        self._note("hub", request)
        self._refuse_by_fault("revision")
        return web.json_response({"id": self._name(request), "sha": self._repo(request).commit})

    async def tree(self, request: web.Request) -> web.Response:
        self._note("hub", request)
        repo = self._repo(request)
        if request.match_info["rev"] != repo.commit:
            raise _refused(404, "RevisionNotFound")
        entries: list[dict[str, Any]] = [{"type": "directory", "path": "images", "oid": "0" * 40}]
        for path, content in {**repo.files, **repo.small}.items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": git_name(content)}
            if path in repo.files:
                entry["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
            entries.append(entry)
        start = int(request.query.get("cursor", 0))
        headers = {}
        if start + self.page < len(entries):
            url = request.url.update_query(cursor=str(start + self.page))
            headers["Link"] = f'<{url}>; rel="next"'
        return web.json_response(entries[start : start + self.page], headers=headers)

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        self._note("hub", request)
        repo, path = self._repo(request), request.match_info["path"]
        if repo.gated and "Authorization" not in request.headers:
            raise _refused(401, "GatedRepo")
        if repo.gated == "denied" or (repo.gated and not _known(request)):
            raise _refused(403, "GatedRepo")
        if request.match_info["rev"] != repo.commit:
            raise _refused(404, "RevisionNotFound")
        self._refuse_by_fault(path)
        if path in repo.small:
            return web.Response(body=repo.small[path])
        if path not in repo.files:
            raise _refused(404, "EntryNotFound")
        where = f"http://localhost:{self.files_port}/{self._name(request)}/{path}?Signature=x"
        raise web.HTTPFound(where, headers={"X-Linked-ETag": f'"{sha256(repo.files[path])}"'})

    # -- the files -------------------------------------------------------------------

    async def file(self, request: web.Request) -> web.StreamResponse:
        self._note("files", request)
        if "Authorization" in request.headers:
            return web.Response(status=400, text="Only one auth mechanism allowed")
        path = request.match_info["path"]
        content = self.repos[self._name(request)].files[path]
        self._refuse_by_fault(path)
        if self._fault("page", path):
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        etag = f'"{sha256(content)[:32]}"'
        start, status, headers = 0, 200, {"ETag": etag} if self.etags else {}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        last = len(content) - 1
        if (
            asked
            and request.headers.get("If-Range", etag) == etag
            and not self._fault("ignore range", path)
        ):
            start = int(asked[1])
            if start > last:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{last + 1}"})
            last = min(last, int(asked[2] or last))
            headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
            status = 206
        body = bytearray(content[start : last + 1])
        if self._fault("corrupt", path):
            body[len(body) // 2] ^= 1
        answer = web.StreamResponse(status=status, headers=headers)
        short = self._fault("short", path)
        if short:
            del body[-short.number :]
        answer.content_length = len(body)
        await answer.prepare(request)
        await self._send(request, answer, bytes(body), path)
        return answer

    async def _send(
        self, request: web.Request, answer: web.StreamResponse, body: bytes, path: str
    ) -> None:
        cuts = {
            f.what: f for w in ("reset", "close", "stall", "hold") if (f := self._fault(w, path))
        }
        most = min((f.number for f in cuts.values()), default=len(body))
        for begin in range(0, most, _PIECE):
            await answer.write(body[begin : min(begin + _PIECE, most)])
        if "hold" in cuts or "stall" in cuts:
            self.holding.set()
            await self.go_on.wait()
            for begin in range(most, len(body), _PIECE):
                await answer.write(body[begin : begin + _PIECE])
        elif cuts:
            while not all(fault.until() for fault in cuts.values()):
                await asyncio.sleep(0.005)
            if request.transport is None:
                return
            if "reset" in cuts:
                link = request.transport.get_extra_info("socket")
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                request.transport.abort()
            else:
                request.transport.close()
            return
        await answer.write_eof()

    # -- what all of them need --------------------------------------------------------

    def _note(self, host: str, request: web.Request) -> None:
        self.asked.append((host, request.method, request.path_qs, dict(request.headers)))

    def _name(self, request: web.Request) -> str:
        return f"{request.match_info['org']}/{request.match_info['repo']}"

    def _repo(self, request: web.Request) -> Repo:
        repo = self.repos.get(self._name(request))
        if repo is None or (repo.private and not _known(request)):
            raise _refused(404 if _known(request) else 401, "RepoNotFound")
        return repo

    def _refuse_by_fault(self, name: str) -> None:
        fault = self._fault("status", name)
        if fault is not None:
            headers = {"Retry-After": "0", **fault.headers}
            raise _refused(fault.number, "", headers)

    def _fault(self, what: str, name: str) -> Fault | None:
        for fault in self.faults:
            if fault.what == what and fault.times and fault.file in {"", name}:
                fault.times -= 1
                return fault
        return None


@asynccontextmanager
async def fake_hub() -> AsyncIterator[FakeHub]:
    """Inside the block a hub answers at its ``url``."""
    hub = FakeHub()
    api, files = web.Application(), web.Application()
    api.router.add_get("/api/models", hub.search)
    api.router.add_get("/api/models/{org}/{repo}/revision/{rev}", hub.revision)
    api.router.add_get("/api/models/{org}/{repo}/tree/{rev}", hub.tree)
    api.router.add_get("/{org}/{repo}/resolve/{rev}/{path:.+}", hub.resolve)
    files.router.add_get("/{org}/{repo}/{path:.+}", hub.file)
    runners = []
    for app in (api, files):
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
    hub.port, hub.files_port = (runner.addresses[0][1] for runner in runners)
    try:
        yield hub
    finally:
        hub.go_on.set()
        for runner in runners:
            await runner.cleanup()


@lru_cache(maxsize=64)
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=64)
def git_name(content: bytes) -> str:
    """Return what git calls this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _known(request: web.Request) -> bool:
    return request.headers.get("Authorization") == f"Bearer {TOKEN}"


def _refused(status: int, code: str, headers: dict[str, str] | None = None) -> web.HTTPException:
    class Refused(web.HTTPException):
        status_code = status

    return Refused(text="{}", headers={"X-Error-Code": code, **(headers or {})})
