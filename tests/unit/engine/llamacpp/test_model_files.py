"""engine/llamacpp/model_files.py: what the files of a variant tell."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from builders import TYPES, variant
from gguf_files import gguf, llama, weights

from engine.llamacpp.model_files import ModelFiles

if TYPE_CHECKING:
    from pathlib import Path

PROJECTOR = gguf({"general.architecture": "clip", "clip.has_vision_encoder": True})
TEMPLATE = "{% if tools %}{{ tools }}{% endif %}<think>"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    vocabulary = [f"token {number}" for number in range(2000)]
    path.write_bytes(
        llama(
            tokenizer__chat_template=TEMPLATE,
            tokenizer__ggml__tokens=vocabulary,
            tokenizer__ggml__fim_pre_token_id=7,
            general__tags=["a", "b"],
        )
    )
    os.utime(path, (1000, 1000))
    return path


def test_a_model_with_a_projector(tmp_path: Path, model: Path) -> None:
    projector = tmp_path / "p.gguf"
    projector.write_bytes(PROJECTOR)
    found = ModelFiles().of(str(model), str(projector))
    assert found is not None
    assert (found.facts.architecture, found.facts.tools, found.facts.thinking) == (
        "llama",
        True,
        True,
    )
    assert (found.facts.vision, found.facts.audio) == (True, False)
    assert (found.template, found.modified, found.facts.fills_gaps) == (TEMPLATE, 1000, True)
    assert found.info["llama.context_length"] == 4096
    assert found.info["general.tags"] == ["a", "b"]
    assert found.info["tokenizer.ggml.tokens"] == []
    assert "tokenizer.chat_template" not in found.info
    brief = ModelFiles().brief(str(model), str(projector))
    assert brief == found._replace(info={}, template="")


def test_a_model_in_several_files(tmp_path: Path) -> None:
    for number in (1, 2):
        keys = {"general.architecture": "llama", "split.no": number - 1, "split.count": 2}
        shard = gguf(keys, weights(2, 2 * (number - 1), outside=number == 1))
        (tmp_path / f"m-{number:05}-of-00002.gguf").write_bytes(shard)
    found = ModelFiles().of(str(tmp_path / "m-00001-of-00002.gguf"))
    assert found is not None
    assert len(found.facts.bytes_by_layer) == 4


def test_a_file_is_read_again_once_it_has_changed(model: Path) -> None:
    files = ModelFiles()
    first = files.of(str(model))
    assert files.of(str(model)) is first
    model.write_bytes(llama(general__size_label="1B"))
    second = files.of(str(model))
    assert second is not None
    assert (second.facts.size_label, second.template) == ("1B", "{{ messages }}")


def test_what_is_no_model(tmp_path: Path) -> None:
    text, projector = tmp_path / "t.gguf", tmp_path / "p.gguf"
    text.write_text("no model at all")
    projector.write_bytes(PROJECTOR)
    files = ModelFiles()
    for path in ("missing.gguf", str(tmp_path), str(text), str(projector), "x-00001-of-00002.gguf"):
        assert files.of(path) is None
        assert files.brief(path) is None


def test_a_projector_that_is_none_changes_nothing(tmp_path: Path, model: Path) -> None:
    text = tmp_path / "t.gguf"
    text.write_text("no projector")
    for other in (str(text), "missing.gguf", str(model)):
        found = ModelFiles().of(str(model), other)
        assert found is not None
        assert (found.facts.vision, found.facts.audio) == (False, False)


def test_the_arguments_name_the_files(tmp_path: Path, model: Path) -> None:
    found = TYPES.model_file(variant(args=("-m", str(model), "-c", "9")), {})
    assert found is not None
    assert found.facts.name == "Small"
    environ = {"LLAMA_ARG_MODEL": str(model)}
    assert TYPES.model_file(variant(args=()), environ) == found
    assert TYPES.model_file(variant(args=("-m", str(tmp_path / "none"))), {}) is None
    assert TYPES.model_file(variant(args=("-hf", "org/model")), {}) is None
    last = TYPES.model_file(variant(args=("-m", "none", "-m", str(model))), {})
    assert last == found


@pytest.mark.parametrize(
    ("args", "template", "tools", "thinking"),
    [
        ((), TEMPLATE, True, True),
        (("--chat-template", "{{ messages }}"), "{{ messages }}", False, False),
        (("--chat-template", "chatml"), "", False, False),
        (("--chat-template-file", "FILE"), "{{ tools }}", True, False),
        (("--chat-template-file", "missing"), "", False, False),
        (("--no-jinja",), "", False, False),
    ],
)
def test_the_template_in_use(
    tmp_path: Path,
    model: Path,
    args: tuple[str, ...],
    template: str,
    tools: bool,
    thinking: bool,
) -> None:
    file = tmp_path / "t.jinja"
    file.write_text("{{ tools }}")
    own = tuple(str(file) if each == "FILE" else each for each in args)
    found = TYPES.model_file(variant(args=("-m", str(model), *own)), {})
    assert found is not None
    assert (found.template, found.facts.tools, found.facts.thinking) == (template, tools, thinking)
