"""server/codecs/ollama/pulls.py: the progress of a download for Ollama's clients."""

from __future__ import annotations

from models.downloads.choice import RemoteFile
from models.downloads.pulls import PullState
from models.downloads.reference import wanted
from server.codecs.ollama.pulls import pull_stage

FILES = (RemoteFile("a.gguf", 100, "a" * 64), RemoteFile("b.gguf", 50, "b" * 64))


def test_each_file_has_its_own_bar() -> None:
    pull = PullState(wanted("org/repo"), files=FILES)
    assert pull_stage(pull) is None
    pull.progress.file = "a.gguf"
    pull.progress.there(30)
    assert pull_stage(pull) == {
        "status": "pulling aaaaaaaaaaaa",
        "digest": f"sha256:{'a' * 64}",
        "total": 100,
        "completed": 30,
    }
    pull.progress.file = "b.gguf"
    pull.progress.there(120)
    stage = pull_stage(pull)
    assert stage is not None
    assert (stage["total"], stage["completed"]) == (50, 20)
