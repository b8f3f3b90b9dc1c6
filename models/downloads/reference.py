"""Read what is to be fetched, such as ``user/repo`` or ``hf.co/user/repo:Q4_K_M``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from utils.errors import BadRequest

# What clients and people write before the name of a repository.
HUBS = ("huggingface.co/", "hf.co/")
_HOSTS = ("https://", "http://", *HUBS)
_PART = r"[A-Za-z0-9](?:[\w.-]*\w)?"
_REPO = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_TAG = re.compile(r"[\w.+-]+", re.ASCII)
_LONGEST = 96
# Ollama's clients add it to a name without a tag.
_ANY = "latest"
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model of a hub. Without ``tag`` and ``file`` the usual file of the repository is meant.

    ``file`` is a path in the repository, or the name of a file in it.
    """

    repo: str
    tag: str = ""
    file: str = ""
    revision: str = MAIN

    def __str__(self) -> str:
        """Return it as a person writes it."""
        if self.file:
            return f"{self.repo}/{self.file}"
        return f"{self.repo}:{self.tag}" if self.tag else self.repo


# When a model of the configuration is fetched.
NEVER, AT_START, ON_REQUEST = "never", "start", "request"
# It is there, but it cannot be served before its head is read.
NOT_READ = "not_read"


@dataclass(frozen=True, slots=True)
class Missing:
    """A model of the configuration that is not on this machine, and when it is fetched."""

    name: str
    wanted: Wanted
    download: str = NEVER
    aliases: tuple[str, ...] = ()


def wanted(text: str, file: str = "", revision: str = MAIN) -> Wanted:
    """Return the model that ``text`` names; raise BadRequest if it names none."""
    name = text.strip()
    for host in _HOSTS:
        name = name.removeprefix(host)
    repo, _, tag = name.partition(":")
    # These would leave the folder of the repository in the cache.
    bad = "--" in repo or ".." in repo or len(repo) > _LONGEST
    if bad or _REPO.fullmatch(repo) is None or (":" in name and _TAG.fullmatch(tag) is None):
        raise BadRequest(
            f"'{text}' names no model of a hub: write user/repo or user/repo:Q4_K_M.", param="repo"
        )
    return Wanted(repo, "" if tag.lower() == _ANY else tag, file, revision or MAIN)
