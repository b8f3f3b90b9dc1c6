"""server/codecs/known.py: the largest context of a model."""

from __future__ import annotations

from dataclasses import replace

from builders import model, variant

from engine.base import ModelFile
from models.capabilities import Capabilities
from models.model_file import FileFacts
from models.spec import ModelSpec
from server.codecs.known import Known

NOTHING = Capabilities(frozenset(), frozenset())
FILE = ModelFile("gguf", FileFacts(5, context_length=40960), 1.0, {})


def test_what_is_configured_counts_and_else_what_the_files_tell() -> None:
    uncounted = ModelSpec("m", (replace(variant(), context=None),))
    assert Known("m", model(100, 8192), NOTHING, FILE).context == 8192
    assert Known("m", uncounted, NOTHING, FILE).context == 40960
    assert Known("m", uncounted, NOTHING, None).context == 0
