"""Read the layout of each store: which file is of which repository, and under which name. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.discovery.file_name import file_name
from models.discovery.stores import FOLDER, HUB, JAN, LLAMACPP, LMSTUDIO, OLLAMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.discovery.listing import File, Listing

_SNAPSHOTS = "snapshots"
_MODEL_LAYER = "application/vnd.ollama.image.model"
_PROJECTOR_LAYER = "application/vnd.ollama.image.projector"
_OLLAMA_HUB, _OLLAMA_LIBRARY = "registry.ollama.ai", "library"
_OTHER_HUBS = frozenset({"hf.co", "huggingface.co"})


@dataclass(frozen=True, slots=True)
class Origin:
    """A file, and what its place tells.

    ``repo`` is its repository on a hub, ``commit`` the version of that. ``inside`` is the path of
    the file there, else in its store. ``title`` is the name that the store itself gives, and
    ``projector`` the projector that it names. Only files with the same ``scope`` can belong
    together.
    """

    kind: str
    root: str
    file: File
    inside: str
    scope: str
    repo: str = ""
    commit: str = ""
    title: str = ""
    projector: File | None = None


def origins(listing: Listing) -> list[Origin]:
    """Return the files of the listing with their origins, in the order of their paths."""
    found = _LAYOUTS[listing.store.kind](listing)
    return sorted(found, key=lambda each: (each.inside, each.file.inside))


def _folder(listing: Listing) -> Iterator[Origin]:
    for file in listing.files:
        yield _plain(listing, file)


def _plain(listing: Listing, file: File, repo: str = "", title: str = "") -> Origin:
    root = listing.store.path
    scope = f"{root}/{file.folder}"
    return Origin(listing.store.kind, root, file, file.inside, scope, repo, title=title)


def _hub(listing: Listing) -> Iterator[Origin]:
    """Of each path in a repository, take the file of ``main``, else that of the last commit name.

    The order of commits is not known here; by their names at least the choice is always the same.
    """
    chosen: dict[tuple[str, str], tuple[bool, str, File]] = {}
    for file in listing.files:
        parts = file.inside.split("/")
        if len(parts) < 4 or parts[1] != _SNAPSHOTS or not parts[0].startswith("models--"):  # noqa: PLR2004 - repository, snapshots, commit, file
            continue
        repository, _, commit, *inside = parts
        main = listing.texts.get(f"{repository}/refs/main", "").strip()
        key = (repository, "/".join(inside))
        rank = (commit == main, commit, file)
        if key not in chosen or rank[:2] > chosen[key][:2]:
            chosen[key] = rank
    for (repository, path), (_, commit, file) in chosen.items():
        scope = f"{listing.store.path}/{repository}/{_SNAPSHOTS}/{commit}"
        repo = repository.removeprefix("models--").replace("--", "/")
        yield Origin(listing.store.kind, listing.store.path, file, path, scope, repo, commit)


def _llamacpp(listing: Listing) -> Iterator[Origin]:
    """Read the layout of a hub, and the older one: all files in one folder, with manifests."""
    yield from _hub(listing)
    known: dict[str, tuple[str, str]] = {}
    for path, text in listing.texts.items():
        name = path.rpartition("/")[2]
        parts = name.removesuffix(".json").split("=")
        if len(parts) != 4 or parts[0] != "manifest":  # noqa: PLR2004 - manifest, owner, name, tag
            continue
        repo = f"{parts[1]}/{parts[2]}"
        said = _json(text)
        for key in ("ggufFile", "mmprojFile"):
            inside = _string(said.get(key), "rfilename")
            if inside:
                known[_flat(repo, inside)] = (repo, inside)
    for file in listing.files:
        if file.inside.startswith("models--"):
            continue
        # The manifest names only the first shard.
        named = file_name(file.name)
        repo, inside = known.get(named.first, ("", file.inside))
        inside = inside.replace(named.mark_of_first, named.mark) if repo else inside
        scope = f"{listing.store.path}/{repo}"
        yield Origin(listing.store.kind, listing.store.path, file, inside, scope, repo)


def _flat(repo: str, inside: str) -> str:
    return f"{repo}/{inside}".replace("/", "_")


def _lmstudio(listing: Listing) -> Iterator[Origin]:
    for file in listing.files:
        parts = file.inside.split("/")
        repo = "/".join(parts[:2]) if len(parts) > 2 else ""  # noqa: PLR2004 - publisher, repository, file
        origin = _plain(listing, file, repo)
        yield origin if not repo else _inside(origin, "/".join(parts[2:]))


def _inside(origin: Origin, inside: str) -> Origin:
    return Origin(origin.kind, origin.root, origin.file, inside, origin.scope, origin.repo)


def _jan(listing: Listing) -> Iterator[Origin]:
    for file in listing.files:
        # Jan calls every model "model.gguf"; its name is that of the folder.
        title = file.folder if file.name.lower() == "model.gguf" else ""
        yield _plain(listing, file, title=title)


def _ollama(listing: Listing) -> Iterator[Origin]:
    blobs = {file.name: file for file in listing.files}
    for path, text in sorted(listing.texts.items()):
        _, *parts = path.split("/")
        if len(parts) < 4:  # noqa: PLR2004 - host, owner, model, tag
            continue
        host, *owner, model, tag = parts
        layers = _json(text).get("layers")
        digests = {
            _string(layer, "mediaType"): _string(layer, "digest").replace(":", "-")
            for layer in (layers if isinstance(layers, list) else ())
        }
        file = blobs.get(digests.get(_MODEL_LAYER, ""))
        if file is None:
            continue
        library = owner == [_OLLAMA_LIBRARY] and host == _OLLAMA_HUB
        own = f"{model}:{tag}" if library else "/".join((*owner, f"{model}:{tag}"))
        repo = "/".join((*owner, model)) if host in _OTHER_HUBS else ""
        yield Origin(
            listing.store.kind,
            listing.store.path,
            file,
            file.inside,
            f"{listing.store.path}/{path}",
            repo,
            title=own,
            projector=blobs.get(digests.get(_PROJECTOR_LAYER, "")),
        )


def _json(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _string(said: object, key: str) -> str:
    found = said.get(key) if isinstance(said, dict) else None
    return found if isinstance(found, str) else ""


_LAYOUTS = {
    FOLDER: _folder,
    HUB: _hub,
    LLAMACPP: _llamacpp,
    LMSTUDIO: _lmstudio,
    JAN: _jan,
    OLLAMA: _ollama,
}
