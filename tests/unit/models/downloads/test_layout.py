"""models/downloads/layout.py: where a file lies in the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.downloads.layout import RepoFolder, inner
from utils.errors import HubAnsweredWrong

FOLDER = RepoFolder(Path("/hub"), "org/repo")
DIGEST, COMMIT = "a" * 64, "b" * 40


def test_the_layout_is_that_of_the_hub() -> None:
    root = "/hub/models--org--repo"
    assert str(FOLDER.blob(DIGEST)) == f"{root}/blobs/{DIGEST}"
    assert str(FOLDER.part(DIGEST)) == f"{root}/blobs/{DIGEST}.incomplete"
    assert str(FOLDER.mark(DIGEST)) == f"{root}/blobs/{DIGEST}.etag"
    assert str(FOLDER.link(COMMIT, "a/m.gguf")) == f"{root}/snapshots/{COMMIT}/a/m.gguf"
    assert str(FOLDER.ref("main")) == f"{root}/refs/main"
    assert str(FOLDER.lock(DIGEST)) == f"/hub/.locks/models--org--repo/{DIGEST}.lock"


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/x", "a\\x", "C:x", "a\0", ""])
def test_a_path_cannot_leave_its_folder(path: str) -> None:
    with pytest.raises(HubAnsweredWrong, match="cannot be stored"):
        inner(path)


@pytest.mark.parametrize("text", ["", "..", "A" * 64, "a" * 63, "main", "../" + "a" * 61])
def test_a_digest_and_a_commit_are_what_they_say(text: str) -> None:
    for call in (FOLDER.blob, FOLDER.part, FOLDER.mark, FOLDER.lock, FOLDER.snapshot):
        if text != "a" * 63 or call != FOLDER.snapshot:
            with pytest.raises(HubAnsweredWrong, match="that is none"):
                call(text)
