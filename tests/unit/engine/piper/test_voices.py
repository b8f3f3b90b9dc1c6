"""The voices of a model, by the file beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.piper.voices import Voices, shipped_voice, voices_of
from utils.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path


def test_one_voice() -> None:
    joe = voices_of(shipped_voice())
    assert (joe.names, joe.pace) == (["en_US-joe-medium"], 1.0)
    for name in ("", "default", "joe", "en_US-joe-medium", "alloy", "nova"):
        assert joe.speaker(name) is None
    with pytest.raises(BadRequest, match="en_US-joe-medium") as refused:
        joe.speaker("bob")
    assert refused.value.param == "voice"


def test_several_speakers(tmp_path: Path) -> None:
    told = {"speaker_id_map": {"ann": 3, "bob": 0}, "inference": {"length_scale": 1.5}}
    (tmp_path / "v.onnx.json").write_text(json.dumps(told))
    voices = voices_of(str(tmp_path / "v.onnx"))
    assert voices.names == ["ann", "bob"]
    assert (voices.speaker("bob"), voices.speaker("alloy"), voices.pace) == (0, 3, 1.5)


@pytest.mark.parametrize("text", [None, "", "[]", '{"inference": {"length_scale": "x"}}'])
def test_a_description_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "v.onnx.json").write_text(text)
    assert voices_of(str(tmp_path / "v.onnx")) == Voices("v", "", {})
