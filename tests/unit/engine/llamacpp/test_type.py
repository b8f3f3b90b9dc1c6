"""engine/llamacpp/type.py: what a variant can do, by its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import variant
from gguf_files import gguf, llama

from engine.llamacpp.type import LlamaCpp

if TYPE_CHECKING:
    from pathlib import Path

    from models.spec import VariantSpec

KNOWS = "{% if tools %}{{ tools }}{% endif %}"
PLAIN = "{{ messages }}"


def of(path: Path, *args: str) -> VariantSpec:
    return variant(args=("-m", str(path), *args))


@pytest.mark.parametrize(("template", "tools"), [(KNOWS, True), (PLAIN, False)])
def test_the_template_in_the_model_s_file_tells_of_tools(
    tmp_path: Path, template: str, tools: bool
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(llama(tokenizer__chat_template=template))
    able = LlamaCpp().capabilities(of(path))
    assert [("tools" in able.certain), ("tools" in able.possible)] == [tools, tools]


def test_an_argument_may_set_another_template(tmp_path: Path) -> None:
    path, template = tmp_path / "m.gguf", tmp_path / "t.jinja"
    path.write_bytes(llama(tokenizer__chat_template=PLAIN))
    template.write_text(KNOWS, encoding="utf-8")

    def shown(*args: str) -> list[str]:
        return LlamaCpp().capabilities(of(path, *args)).shown()

    assert shown("--chat-template-file", str(template)) == ["text", "tools"]
    assert shown("--chat-template", KNOWS) == ["text", "tools"]
    # Only the engine knows its own templates, or a file that is missing here.
    assert shown("--chat-template", "chatml") == ["text"]
    missing = LlamaCpp().capabilities(of(path, "--chat-template-file", "missing"))
    assert "tools" in missing.possible - missing.certain


def test_the_projector_tells_of_media(tmp_path: Path) -> None:
    path = tmp_path / "p.gguf"
    path.write_bytes(gguf({"general.architecture": "clip", "clip.has_audio_encoder": True}))
    able = LlamaCpp().capabilities(of(tmp_path / "missing.gguf", "--mmproj", str(path)))
    assert able.shown() == ["text", "audio"]
    assert "vision" not in able.possible
