"""The progress of a download, as Ollama's API tells it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.downloads.pulls import PullState
    from models.requests.fields import Json

BEGUN: Json = {"status": "pulling manifest"}
VERIFIED: Json = {"status": "verifying sha256 digest"}
SUCCESS: Json = {"status": "success"}
_SHOWN = 12


def pull_stage(pull: PullState) -> Json | None:
    """Return a line about the file that is fetched now; None while none is.

    Clients draw a bar for each digest, from ``completed`` and ``total``.
    """
    before = 0
    for file in pull.files:
        if file.path == pull.progress.file:
            done = min(max(0, pull.progress.done - before), file.size)
            return {
                "status": f"pulling {file.digest[:_SHOWN]}",
                "digest": f"sha256:{file.digest}",
                "total": file.size,
                "completed": done,
            }
        before += file.size
    return None
