"""The files of the pages: read once, under one hash of all of them. Pure but for the reading.

What the browser gets is what is in ``static/``. Only pages are put together: ``frame.html`` has
what all of them have, and ``{page}`` in it is replaced by the head of one. A page names an asset
as ``{assets}/lib/dom.js``.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

STATIC = Path(__file__).resolve().parent / "static"
# Below this path are the assets.
ASSETS = "/assets/"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_PAGE = "/index.html"
_FRAME = "frame.html"
_HEAD = b"{page}"
_NAME = b"{assets}"
_PRELOADS = b"{preloads}"
_SCRIPT = re.compile(r'<script type="module" src="\{assets\}/([^"]+)"')
_IMPORT = re.compile(r'^(?:import|export)\b[^"\n]*?"(\.[^"]+)";$', re.MULTILINE)
_HASH_LENGTH = 16


@dataclass(frozen=True, slots=True)
class File:
    """One file: its media type, its bytes, and the same compressed by gzip."""

    kind: str
    body: bytes
    packed: bytes


@dataclass(frozen=True, slots=True)
class Files:
    """All files by their paths below ``static/``; ``digest`` is the hash of all of them."""

    digest: str
    pages: dict[str, File]
    assets: dict[str, File]


def read_files(folder: Path = STATIC) -> Files:
    """Read every file below the folder; it takes some 50 ms, most of it to compress them.

    OSError if one cannot be read; KeyError if its type is not known.
    """
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    digest = _digest(found)
    base = f"{ASSETS}{digest}"
    pages = {name: _page(body, base, found) for name, body in found.items() if _is_page(name)}
    others = (name for name in found if name != _FRAME and not _is_page(name))
    assets = {name: _file(name, found[name]) for name in others}
    return Files(digest, pages, assets)


def imports_of(name: str, found: dict[str, bytes]) -> list[str]:
    """Return the modules that a module imports at once, and what these import, each once.

    They are in the order in which they are found; the module itself is not among them.
    """
    seen, left = [name], [name]
    while left:
        module = left.pop(0)
        for relative in _IMPORT.findall(found[module].decode()):
            target = _joined(module, relative)
            if target not in seen:
                seen.append(target)
                left.append(target)
    return seen[1:]


def _is_page(name: str) -> bool:
    return name.endswith(_PAGE)


def _digest(found: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, body in found.items():
        total.update(f"{name}\0{len(body)}\0".encode())
        total.update(body)
    return total.hexdigest()[:_HASH_LENGTH]


def _page(body: bytes, base: str, found: dict[str, bytes]) -> File:
    """Return a page in its frame, with the addresses of its assets and its imports as preloads.

    With them the browser asks for all modules at once, not for one level of imports after another.
    """
    script = _SCRIPT.search(body.decode())
    modules = [] if script is None else imports_of(script[1], found)
    links = "\n".join(f'<link rel="modulepreload" href="{{assets}}/{name}">' for name in modules)
    whole = found[_FRAME].replace(_HEAD, body.rstrip()).replace(_PRELOADS, links.encode())
    return _file(_FRAME, whole.replace(_NAME, base.encode()))


def _file(name: str, body: bytes) -> File:
    kind = _TYPES[PurePosixPath(name).suffix or name]
    return File(kind, body, gzip.compress(body, mtime=0))


def _joined(module: str, relative: str) -> str:
    parts = [*PurePosixPath(module).parent.parts]
    for part in relative.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
