"""server/codecs/lm_studio.py: the pages of LM Studio's API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import model, variant

from engine.base import ModelFile
from models.capabilities import Capabilities
from models.model_file import FileFacts
from models.spec import ModelSpec
from server.codecs.known import Known
from server.codecs.lm_studio import model_page, models_page

FACTS = FileFacts(5, architecture="qwen3", quantisation="Q4_K_M", context_length=40960)
FILE = ModelFile("gguf", FACTS, 1.0, {})
SPEC = model(100, 8192)


def known(*names: str, file: ModelFile | None = FILE) -> Known:
    return Known("also", SPEC, Capabilities(frozenset(names), frozenset(names)), file)


def test_a_model_that_is_not_loaded() -> None:
    page = models_page([known("text", "tools")], {"other": variant(100, "other")})
    assert page == {
        "object": "list",
        "data": [
            {
                "id": "also",
                "object": "model",
                "type": "llm",
                "publisher": "llm-gateway",
                "arch": "qwen3",
                "compatibility_type": "gguf",
                "quantization": "Q4_K_M",
                "state": "not-loaded",
                "max_context_length": 8192,
                "capabilities": ["tool_use"],
            }
        ],
    }


def test_a_model_that_is_loaded() -> None:
    page = model_page(known("text"), {"m": SPEC.variants[0]})
    assert (page["state"], page["loaded_context_length"]) == ("loaded", 100)
    remote = replace(SPEC.variants[0], context=None)
    page = model_page(known("text")._replace(model=ModelSpec("m", (remote,))), {"m": remote})
    assert page["max_context_length"] == 40960
    assert "loaded_context_length" not in page


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("text", "vision"), "vlm"),
        (("embeddings",), "embeddings"),
        (("text", "embeddings"), "llm"),
        ((), "llm"),
    ],
)
def test_types(names: tuple[str, ...], kind: str) -> None:
    assert model_page(known(*names), {})["type"] == kind


def test_a_model_without_files() -> None:
    page = model_page(known("text", file=None), {})
    unknown = (page["arch"], page["compatibility_type"], page["quantization"])
    assert unknown == ("unknown",) * 3
