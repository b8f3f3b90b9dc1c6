"""``Site``: the answer to a request for a page or for an asset. It knows no HTTP server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from web.files import ASSETS, STATIC, Files, read_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from web.files import File

_OK, _NOT_MODIFIED = 200, 304
# Nothing from elsewhere, no inline code, no HTML from a string but through the named policies.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
    " media-src 'self' blob:; font-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script';"
    " trusted-types dompurify gateway"
)
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OF_PAGES = {
    **_SAFE,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
_YEAR = "public, max-age=31536000, immutable"


class Answer(NamedTuple):
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Site:
    """The pages and their assets, in memory after the first call."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._files: Files | None = None

    @property
    def is_read(self) -> bool:
        """Whether the files are in memory; until then, an answer takes a while."""
        return self._files is not None

    def read(self) -> Files:
        """Return the files; read them from disk if this was not done yet."""
        if self._files is None:
            self._files = read_files(self._folder)
        return self._files

    def page(self, name: str, headers: Mapping[str, str]) -> Answer:
        """Return the page ``name``, or that the browser has it as it is now; KeyError if unknown.

        ``headers`` are those of the request, as for ``asset``.
        """
        files = self.read()
        tag = f'W/"{files.digest}"'
        told = {**_OF_PAGES, "ETag": tag, "Vary": "Accept, Accept-Encoding"}
        if tag in _tags(headers.get("If-None-Match", "")):
            return Answer(_NOT_MODIFIED, told, b"")
        return _answer(files.pages[f"{name}.html"], told, headers)

    def asset(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        """Return the asset at ``path``, which follows ``/assets/``; None if there is none.

        An asset is only served below the hash of all files: what has that address never changes.
        """
        files = self.read()
        digest, _, name = path.partition("/")
        file = files.assets.get(name) if digest == files.digest else None
        if file is None:
            return None
        told = {**_SAFE, "Cache-Control": _YEAR, "Vary": "Accept-Encoding"}
        return _answer(file, told, headers)

    def address(self, name: str) -> str:
        """Return the path at which an asset is served."""
        return f"{ASSETS}{self.read().digest}/{name}"


def _answer(file: File, told: dict[str, str], headers: Mapping[str, str]) -> Answer:
    told["Content-Type"] = file.kind
    if not _takes_gzip(headers.get("Accept-Encoding", "")):
        return Answer(_OK, told, file.body)
    return Answer(_OK, {**told, "Content-Encoding": "gzip"}, file.packed)


def _takes_gzip(accepted: str) -> bool:
    for part in accepted.split(","):
        name, _, quality = part.replace(" ", "").partition(";")
        if name.lower() == "gzip":
            return quality not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _tags(told: str) -> set[str]:
    return {tag.strip() for tag in told.split(",")}
