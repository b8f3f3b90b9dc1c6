"""engine/llamacpp/capabilities.py: what a llama-server can do, by arguments and files."""

from __future__ import annotations

import pytest

from engine.llamacpp.arguments import Arguments
from engine.llamacpp.capabilities import Known, deduced
from models.capabilities import Capabilities

BOTH = {"vision", "audio"}
CHAT = {"text", "tools"}


@pytest.mark.parametrize(
    ("args", "env", "certain", "more"),
    [
        ("", {}, {"text", "tools"}, set()),
        ("--jinja", {}, {"text", "tools"}, set()),
        ("--no-jinja", {}, {"text"}, set()),
        ("--no_jinja", {}, {"text"}, set()),
        ("", {"LLAMA_ARG_NO_JINJA": "0"}, {"text"}, set()),
        ("--no-jinja --jinja", {}, {"text", "tools"}, set()),
        ("--chat-template chatml", {}, {"text", "tools"}, set()),
        ("", {"LLAMA_ARG_JINJA": "0"}, {"text"}, set()),
        ("", {"LLAMA_ARG_JINJA": "1"}, {"text", "tools"}, set()),
        ("--jinja", {"LLAMA_ARG_JINJA": "false"}, {"text", "tools"}, set()),
        ("--mmproj p.gguf", {}, {"text", "tools", "vision"}, BOTH),
        ("-mm /a/audio/p.gguf", {}, {"text", "tools", "vision"}, BOTH),
        ("-mm C:\\audio\\p.gguf", {}, {"text", "tools", "vision"}, BOTH),
        ("-mm /a/mmproj-Voxtral.gguf", {}, {"text", "tools", "audio"}, BOTH),
        ("", {"LLAMA_ARG_MMPROJ": "p.gguf"}, {"text", "tools", "vision"}, BOTH),
        ("-hf org/model", {}, {"text", "tools"}, BOTH),
        ("-hf org/model --no-mmproj", {}, {"text", "tools"}, set()),
        ("--embeddings", {}, {"embeddings"}, CHAT),
        ("--embedding --pooling mean", {}, {"embeddings"}, CHAT),
        ("--embedding --no-jinja", {}, {"embeddings"}, {"text"}),
        ("--embedding --mmproj p", {}, {"embeddings", "vision"}, BOTH | CHAT),
        ("--embedding --pooling rank", {}, {"rerank"}, set()),
        ("--pooling rank", {}, {"text", "tools"}, set()),
        ("--reranking", {}, {"rerank"}, set()),
        ("--rerank", {}, {"rerank"}, set()),
        ("", {"LLAMA_ARG_EMBEDDINGS": "true"}, {"embeddings"}, CHAT),
        ("", {"LLAMA_ARG_RERANKING": "on"}, {"rerank"}, set()),
        ("", {"LLAMA_ARG_RERANKING": "off"}, {"text", "tools"}, set()),
    ],
)
def test_arguments_tell(args: str, env: dict[str, str], certain: set[str], more: set[str]) -> None:
    found = deduced(Arguments(args.split(), env), Known(tools=True))
    assert found == Capabilities(frozenset(certain), frozenset(certain | more))


@pytest.mark.parametrize(
    ("known", "certain", "more"),
    [
        # What no file tells is possible, and not shown.
        (Known(), {"text", "vision"}, {"tools", "audio"}),
        (Known(tools=False), {"text", "vision"}, {"audio"}),
        (Known(tools=True, vision=True, audio=False), {"text", "tools", "vision"}, set()),
        (Known(vision=False, audio=True), {"text", "audio"}, {"tools"}),
        (Known(tools=False, vision=False, audio=False), {"text"}, set()),
    ],
)
def test_files_and_engines_tell_more(known: Known, certain: set[str], more: set[str]) -> None:
    found = deduced(Arguments(["--mmproj", "p.gguf"], {}), known)
    assert found == Capabilities(frozenset(certain), frozenset(certain | more))
