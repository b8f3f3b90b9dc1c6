"""Where other programs keep their models, on Linux, macOS and Windows. Pure.

Each program's variables count before its default folders, as the program itself has it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

HUB, LLAMACPP, LMSTUDIO, JAN = "hub", "llamacpp", "lmstudio", "jan"
OLLAMA, FOLDER = "ollama", "folder"
# In this order a model counts that is in several stores.
KINDS = (FOLDER, HUB, LLAMACPP, LMSTUDIO, JAN, OLLAMA)
# Ollama's own conversions do not all load elsewhere, so its store is left out if nobody asks.
USUAL = (HUB, LLAMACPP, LMSTUDIO, JAN)


@dataclass(frozen=True, slots=True)
class Store:
    """A folder with models, and how it is laid out."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides where the stores are. ``lmstudio`` is the text of LM Studio's settings file."""

    environ: Mapping[str, str]
    home: str
    platform: str
    lmstudio: str = ""

    def path(self, *parts: str) -> PurePath:
        """Return the path of these parts; ``~`` is the home folder."""
        flavour = PureWindowsPath if self.platform == "win32" else PurePosixPath
        path = flavour(*parts)
        if path.parts[:1] == ("~",):
            return flavour(self.home, *path.parts[1:])
        return path

    def named(self, variable: str, *parts: str) -> PurePath | None:
        """Return the path in the variable, and ``parts`` in it; None if it is not set."""
        value = self.environ.get(variable, "").strip()
        return self.path(value, *parts) if value else None


def stores(
    machine: Machine, kinds: Iterable[str] = USUAL, folders: Iterable[str] = ()
) -> list[Store]:
    """Return the stores of these kinds, and the own ``folders``; each path once."""
    found = [Store(FOLDER, str(machine.path(folder))) for folder in folders]
    for kind in KINDS:
        if kind in kinds and kind in _PLACES:
            found += [Store(kind, str(path)) for path in _PLACES[kind](machine)]
    first: dict[str, Store] = {}
    for store in found:
        first.setdefault(store.path, store)
    return list(first.values())


def lmstudio_settings(machine: Machine) -> str:
    """Return the path of LM Studio's settings file."""
    return str(machine.path("~", ".lmstudio", "settings.json"))


def _hub(machine: Machine) -> Iterator[PurePath]:
    for variable, parts in (
        ("HF_HUB_CACHE", ()),
        ("HUGGINGFACE_HUB_CACHE", ()),
        ("HF_HOME", ("hub",)),
        ("XDG_CACHE_HOME", ("huggingface", "hub")),
    ):
        if (path := machine.named(variable, *parts)) is not None:
            yield path
            break
    else:
        yield machine.path("~", ".cache", "huggingface", "hub")
    # Unsloth Studio had a hub cache of its own.
    yield machine.path("~", ".unsloth", "studio", "cache", "huggingface", "hub")


def _llamacpp(machine: Machine) -> Iterator[PurePath]:
    if (named := machine.named("LLAMA_CACHE")) is not None:
        yield named
        return
    local = machine.named("LOCALAPPDATA", "llama.cpp")
    if machine.platform == "win32" and local is not None:
        yield local
    elif machine.platform == "darwin":
        yield machine.path("~", "Library", "Caches", "llama.cpp")
    yield machine.named("XDG_CACHE_HOME", "llama.cpp") or machine.path("~", ".cache", "llama.cpp")


def _lmstudio(machine: Machine) -> Iterator[PurePath]:
    try:
        said: Any = json.loads(machine.lmstudio or "{}")
        folder = said.get("downloadsFolder")
    except (ValueError, AttributeError):
        folder = None
    if isinstance(folder, str) and folder:
        yield machine.path(folder)
    yield machine.path("~", ".lmstudio", "models")
    yield machine.path("~", ".cache", "lm-studio", "models")


def _jan(machine: Machine) -> Iterator[PurePath]:
    inner = ("Jan", "data", "llamacpp", "models")
    if machine.platform == "win32":
        yield machine.named("APPDATA", *inner) or machine.path("~", "AppData", "Roaming", *inner)
    elif machine.platform == "darwin":
        yield machine.path("~", "Library", "Application Support", *inner)
    else:
        yield machine.named("XDG_DATA_HOME", *inner) or machine.path("~", ".local", "share", *inner)


def _ollama(machine: Machine) -> Iterator[PurePath]:
    if (named := machine.named("OLLAMA_MODELS")) is not None:
        yield named
        return
    yield machine.path("~", ".ollama", "models")
    if machine.platform == "linux":
        yield machine.path("/usr/share/ollama/.ollama/models")


_PLACES = {
    HUB: _hub,
    LLAMACPP: _llamacpp,
    LMSTUDIO: _lmstudio,
    JAN: _jan,
    OLLAMA: _ollama,
}
