"""Check that the files of a model are what their names and their heads say. Blocks, for long."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.gguf import BadModelFile, head_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.discovery.inventory import Entry

_SHA256, _GIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_STEP = 1 << 22


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a file. ``problem`` is "" if nothing is wrong with it.

    Without a ``digest`` its content was compared with nothing; only its head and length were
    checked.
    """

    path: str
    digest: str = ""
    problem: str = ""


def verify(entry: Entry, stopped: Callable[[], bool] = lambda: False) -> list[Verdict]:
    """Return what is known of each file of the model; reads all of its bytes.

    Once ``stopped`` says so, the files that are left are not read.
    """
    paths = [*entry.files, *([entry.projector] if entry.projector else [])]
    return [_verdict(Path(path), stopped) for path in paths]


def _verdict(path: Path, stopped: Callable[[], bool]) -> Verdict:
    try:
        digest = _promised(path)
        head = head_of(path)
        if head.missing:
            problem = f"the file is cut: {head.missing} of its bytes are missing"
            return Verdict(str(path), digest, problem)
        found = digest and _digest(path, digest, stopped)
    except BadModelFile as error:
        return Verdict(str(path), problem=str(error))
    except OSError as error:
        return Verdict(str(path), problem=(error.strerror or str(error)).lower())
    if found != digest:
        return Verdict(str(path), digest, f"its content is {found[:12]}…, not {digest[:12]}…")
    return Verdict(str(path), digest)


def _promised(path: Path) -> str:
    """Return the digest that the file's content is named by in a cache of the hub; "" elsewhere."""
    if not path.is_symlink():
        return ""
    # One step only: a content that several repositories share has another name.
    name = path.readlink().name
    return name if _SHA256.fullmatch(name) or _GIT.fullmatch(name) else ""


def _digest(path: Path, like: str, stopped: Callable[[], bool]) -> str:
    with path.open("rb", buffering=0) as file:
        found = hashlib.sha256()
        if _GIT.fullmatch(like):
            size = path.stat().st_size
            found = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while data := file.read(_STEP):
            if stopped():
                return like
            found.update(data)
    return found.hexdigest()
