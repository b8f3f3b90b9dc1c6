"""Where a file lies in the cache of the hub: its content, its name, and its part. Pure.

``models--org--repo/blobs/<digest>`` is the content, ``snapshots/<commit>/<path>`` a link to it, and
``refs/<branch>`` names the commit. Other programs read and write the same folders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from utils.errors import HubAnsweredWrong

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RepoFolder:
    """The folder of a repository in the cache at ``root``."""

    root: Path
    repo: str

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / self.name

    @property
    def name(self) -> str:
        """Its name in the cache."""
        return f"models--{self.repo.replace('/', '--')}"

    @property
    def blobs(self) -> Path:
        """The folder of the contents."""
        return self.path / "blobs"

    def blob(self, digest: str) -> Path:
        """Return where the content with this digest lies once it is whole."""
        return self.blobs / _checked(_DIGEST, digest)

    def part(self, digest: str) -> Path:
        """Return where it lies while it is fetched."""
        return self.blobs / f"{_checked(_DIGEST, digest)}.incomplete"

    def mark(self, digest: str) -> Path:
        """Return where the server's mark of the content is kept, by which a part is continued."""
        return self.blobs / f"{_checked(_DIGEST, digest)}.etag"

    def lock(self, digest: str) -> Path:
        """Return the file that is locked by the program that fetches it."""
        return self.root / ".locks" / self.name / f"{_checked(_DIGEST, digest)}.lock"

    def link(self, commit: str, inside: str) -> Path:
        """Return where the file ``inside`` the repository has its name."""
        return self.snapshot(commit).joinpath(*inner(inside).parts)

    def snapshot(self, commit: str) -> Path:
        """Return the folder with the names of one version."""
        return self.path / "snapshots" / _checked(_COMMIT, commit)

    def ref(self, revision: str) -> Path:
        """Return the file that names the commit of a branch."""
        return (self.path / "refs").joinpath(*inner(revision).parts)


def inner(path: str) -> PurePosixPath:
    """Return the path; raise HubAnsweredWrong if it could leave the folder that it is in."""
    found = PurePosixPath(path)
    odd = found.is_absolute() or "\\" in path or "\0" in path or ":" in path
    if odd or not found.parts or ".." in found.parts:
        raise HubAnsweredWrong(f"The hub names a file that cannot be stored: {path!r}.")
    return found


def _checked(form: re.Pattern[str], text: str) -> str:
    if form.fullmatch(text) is None:
        raise HubAnsweredWrong(f"The hub names a version or a content that is none: {text!r}.")
    return text
