"""server/codecs/ollama/pages.py: the pages about models, as Ollama's own client reads them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

import pytest
from builders import model, variant
from sdk_types import sdk_type

from engine.base import ModelFile
from engine.scheduling.engine_table import EngineRecord
from models.capabilities import Capabilities
from models.model_file import FileFacts
from models.spec import ModelSpec
from server.codecs.known import Known
from server.codecs.ollama.pages import (
    Loaded,
    ps_page,
    show_page,
    tagged,
    tags_page,
    when,
)

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
FACTS = FileFacts(
    size=5000,
    architecture="qwen3",
    basename="Qwen3",
    licence="apache-2.0",
    quantisation="Q4_K_M",
    parameters=8_190_735_360,
    context_length=40960,
    width=4096,
    thinking=True,
    fills_gaps=True,
    vision=True,
)
INFO = {
    "general.architecture": "qwen3",
    "general.basename": "Qwen3",
    "qwen3.context_length": 40960,
    "tokenizer.ggml.tokens": [],
}
FILE = ModelFile("gguf", FACTS, 1000.0, INFO, "{{ messages }}")


def able(*names: str) -> Capabilities:
    return Capabilities(frozenset(names), frozenset(names))


def known(file: ModelFile | None = FILE, *names: str, **fields: Any) -> Known:
    return Known("m", model(100, 8192, **fields), able(*(names or ("text",))), file)


@pytest.mark.parametrize(
    ("name", "full"),
    [("m", "m:latest"), ("m:8b", "m:8b"), ("a/m", "a/m:latest"), ("host:1/m", "host:1/m:latest")],
)
def test_a_name_has_a_tag(name: str, full: str) -> None:
    assert tagged(name) == full


def test_the_list_of_models() -> None:
    page = tags_page([known()], 5.0)
    [entry] = sdk_type("ollama._types", "ListResponse").model_validate(page).models
    assert entry.model == page["models"][0]["name"] == "m:latest"
    assert entry.size == 5000
    assert entry.modified_at == datetime.fromtimestamp(1000, UTC)
    assert page["models"][0]["details"] == {
        "parent_model": "",
        "format": "gguf",
        "family": "qwen3",
        "families": ["qwen3", "clip"],
        "parameter_size": "8.2B",
        "quantization_level": "Q4_K_M",
        "context_length": 8192,
        "embedding_length": 4096,
    }


def test_a_digest_changes_with_the_files() -> None:
    def digest(file: ModelFile | None) -> str:
        return str(tags_page([known(file)], 5.0)["models"][0]["digest"])

    assert digest(FILE) == digest(FILE._replace(template=""))
    assert len({digest(None), digest(FILE), digest(FILE._replace(modified=2.0))}) == 3
    assert len(digest(FILE)) == 64


def test_what_is_known_of_one_model() -> None:
    params = {"temperature": 0.7, "stop": ["a", "b"], "chat_template_kwargs": {"x": 1}}
    page = show_page(known(set_params=params), 5.0)
    shown = sdk_type("ollama._types", "ShowResponse").model_validate(page)
    assert shown.modelinfo == {
        **INFO,
        "general.parameter_count": 8_190_735_360,
        # What can be had here, not what the model was trained for.
        "qwen3.context_length": 8192,
    }
    assert shown.capabilities == ["completion", "insert", "thinking"]
    assert (shown.license, shown.template) == ("apache-2.0", "{{ messages }}")
    assert [line.split() for line in (shown.parameters or "").splitlines()] == [
        ["temperature", "0.7"],
        ["stop", "a"],
        ["stop", "b"],
    ]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("text", "tools", "vision", "audio"), ["completion", "vision", "audio", "tools"]),
        (("embeddings",), ["embedding"]),
        (("rerank",), []),
    ],
)
def test_capabilities_in_ollamas_words(names: tuple[str, ...], words: list[str]) -> None:
    page = show_page(known(None, *names), 5.0)
    assert page["capabilities"] == words
    assert "thinking" not in show_page(known(FILE, "embeddings"), 5.0)["capabilities"]


def test_a_model_without_files() -> None:
    page = show_page(known(None), 5.0)
    sdk_type("ollama._types", "ShowResponse").model_validate(page)
    assert page["model_info"] == {
        "general.architecture": "unknown",
        "general.basename": "m",
        "unknown.context_length": 8192,
    }
    assert page["details"]["families"] == []
    assert page["modified_at"] == "1970-01-01T00:00:05.000000Z"
    [entry] = tags_page([known(None)], 5.0)["models"]
    assert (entry["size"], entry["details"]["parameter_size"]) == (0, "")


def test_the_context_of_the_files_if_none_is_configured() -> None:
    remote = ModelSpec("m", (replace(variant(), context=None),))
    page = show_page(Known("m", remote, able("text"), FILE), 5.0)
    assert page["details"]["context_length"] == 40960
    assert "context_length" not in show_page(Known("m", remote, able("text"), None), 5.0)["details"]


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [(0, ""), (999, "999"), (1500, "2K"), (134_515_008, "134.52M"), (70_553_706_496, "70.6B")],
)
def test_sizes_for_people(parameters: int, shown: str) -> None:
    file = FILE._replace(facts=FileFacts(1, parameters=parameters))
    assert show_page(known(file), 5.0)["details"]["parameter_size"] == shown


def test_loaded_models() -> None:
    held = EngineRecord(variant(8192), memory={"ram": 700, "gpu0": 2000, "gpu1": 100})
    page = ps_page(
        [
            Loaded(known(), EngineRecord(variant(100)), 60.0),
            Loaded(known(), held, inf),
            Loaded(known(None), EngineRecord(variant(100)), -1.0),
        ],
        NOW,
    )
    never, soon, over = sdk_type("ollama._types", "ProcessResponse").model_validate(page).models
    assert (never.size, never.size_vram, never.context_length) == (2800, 2100, 8192)
    assert never.expires_at is not None
    assert never.expires_at > NOW + timedelta(days=36_000)
    assert (soon.size, soon.size_vram, soon.expires_at) == (5000, 0, NOW + timedelta(seconds=60))
    assert (over.size, over.expires_at) == (0, NOW)
    assert never.digest == tags_page([known()], 5.0)["models"][0]["digest"]


def test_times_are_told_in_utc() -> None:
    assert when(NOW) == "2026-05-04T03:02:01.000000Z"
