"""Stores of models as other programs lay them out, with small files."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from gguf_files import gguf, llama

from models.discovery.inventory import Entry, Inventory, Taken, inventory
from models.discovery.stores import Machine, Store, stores
from models.discovery.walk import listings
from models.gguf import BadModelFile
from models.head_cache import HeadCache

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.model_file import FileFacts

COMMIT = "a" * 40
PROJECTOR = gguf({"general.architecture": "clip", "clip.has_vision_encoder": True})


def put(path: Path, content: bytes | None = None) -> Path:
    """Write a file, by default a small model, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(llama() if content is None else content)
    return path


def hub(
    root: Path, repo: str, *inside: str, commit: str = COMMIT, content: bytes | None = None
) -> list[Path]:
    """Add files of a repository to a hub cache: blobs, and links to them; return the links."""
    folder = root / f"models--{repo.replace('/', '--')}"
    put(folder / "refs" / "main", commit.encode())
    made = []
    for name in inside:
        # Each file is another one, also if the content is the same.
        digest = sha256(f"{repo}{name}{commit}".encode()).hexdigest()
        put(folder / "blobs" / digest, content)
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (name.count("/") + 2)
        link.symlink_to(f"{up}blobs/{digest}")
        made.append(link)
    return made


def ollama(root: Path, name: str, content: bytes, projector: bytes | None = None) -> Path:
    """Add a model such as ``registry.ollama.ai/library/llama3/8b``; return its blob."""
    layers = [("model", content), *([("projector", projector)] if projector else [])]
    said = []
    blob = root
    for kind, each in reversed(layers):
        digest = sha256(each).hexdigest()
        blob = put(root / "blobs" / f"sha256-{digest}", each)
        said.append(
            {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"}
        )
    put(root / "manifests" / name, json.dumps({"layers": said}).encode())
    return blob


def scan(
    *found: Store,
    heads: bool = False,
    before: Iterable[Entry] = (),
    taken: Taken | None = None,
) -> Inventory:
    """Return the inventory of these stores; with ``heads`` every head is read."""
    lists = listings(found)
    known = _known(lists_files(found)) if heads else {}
    return inventory(lists, known, before, taken)


def lists_files(found: Iterable[Store]) -> list[Path]:
    return [Path(file.path) for each in listings(found) for file in each.files]


def _known(files: list[Path]) -> dict[tuple[int, int], FileFacts | str]:
    cache = HeadCache()
    known: dict[tuple[int, int], FileFacts | str] = {}
    for file in files:
        state = file.stat()
        try:
            known[state.st_dev, state.st_ino] = cache.facts(file)
        except BadModelFile as error:
            known[state.st_dev, state.st_ino] = str(error)
    return known


def everything(home: Path, *kinds: str, **environ: str) -> Inventory:
    """Return what is found in the home folder of a Linux user."""
    return scan(*stores(Machine(environ, str(home), "linux"), kinds))
