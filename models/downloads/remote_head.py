"""Read the head of a file that is on the hub, to tell before a download whether it will run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from models.downloads.choice import chosen
from models.gguf import BadModelFile, read_head
from models.model_file import facts_of
from utils.errors import HubNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.downloads.choice import Choice, RemoteFile
    from models.downloads.hub import Hub
    from models.downloads.reference import Wanted
    from models.model_file import FileFacts

# Most heads are shorter; the longest that are known have some 16 MB.
_FIRST, _MOST = 2 << 20, 64 << 20


class _More(Exception):
    """The head is longer than what was read of it."""


async def usual_facts(
    hub: Hub, asked: Wanted, commit: str, every: Sequence[Choice]
) -> FileFacts | None:
    """Return what the head of the repository's usual model tells; None if it tells nothing."""
    files = [file for choice in every for file in choice.files]
    try:
        return await remote_facts(hub, asked.repo, commit, chosen(asked, files).parts[0])
    except (HubNotFound, BadModelFile):
        return None


async def remote_facts(hub: Hub, repo: str, commit: str, file: RemoteFile) -> FileFacts:
    """Return what the head of the file tells, by as few and as short requests as will do.

    Raises BadModelFile if it has no whole head of a model, and what ``hub`` raises.
    """
    url = hub.address(repo, commit, file.path)
    have, wanted = b"", min(_FIRST, file.size)
    while True:
        have += await hub.read(url, file.path, len(have), wanted - len(have))
        try:
            return await asyncio.to_thread(_facts, have, file.size)
        except _More:
            if len(have) < wanted or wanted >= min(_MOST, file.size):
                raise BadModelFile("its head is too large") from None
            wanted = min(2 * wanted, file.size, _MOST)


def resized(facts: FileFacts, choice: Choice) -> FileFacts:
    """Return the facts of another file of the same model: its weights are larger or smaller.

    What a quantisation changes is only the size of the weights; its layers are of like sizes.
    """
    size = sum(part.size for part in choice.parts)
    factor = size / (facts.weights or size or 1)
    layers = facts.bytes_by_layer
    if facts.shards > 1 and facts.layers:
        # The first of several parts has only some of the layers.
        each = max(0, size - facts.outside) // facts.layers
        return replace(facts, size=size, bytes_by_layer=(each,) * facts.layers)
    return replace(
        facts,
        size=size,
        bytes_by_layer=tuple(int(factor * layer) for layer in layers),
        experts_by_layer=tuple(int(factor * layer) for layer in facts.experts_by_layer),
        outside=int(factor * facts.outside),
        embedding=int(factor * facts.embedding),
    )


def _facts(have: bytes, size: int) -> FileFacts:
    def read(at: int, count: int) -> bytes:
        return have[at : at + count]

    try:
        return facts_of(read_head(read, size))
    except BadModelFile as error:
        if len(have) < size and "ends within" in str(error):
            raise _More from None
        raise
