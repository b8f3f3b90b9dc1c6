"""How a whisper engine is started, and what it can do."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from builders import variant

from engine.whisper.type import Whisper
from models.requests.endpoints import CHAT, TRANSCRIPTION
from utils.errors import BadRequest

URL = "http://127.0.0.1:9"
TYPE = Whisper(Path("/cache"))
EMBEDDED = dataclasses.replace(variant(None), binary="", args=(), name="default")


def test_it_has_one_place() -> None:
    several = dataclasses.replace(EMBEDDED, parallel=2)
    assert [finding.key for finding in TYPE.checks(several)] == ["parallel"]


def test_the_embedded_one_keeps_its_weights_in_the_gateways_folder() -> None:
    launch = TYPE.launch(EMBEDDED, URL, {"HOME": "/h"})
    assert launch.argv[0] == sys.executable
    line = " ".join(launch.argv[1:])
    assert line.endswith("--cache /cache --host 127.0.0.1 --port 9")
    assert launch.env["OMP_WAIT_POLICY"] == "passive"


def test_a_program_gets_its_own_arguments_first() -> None:
    own = dataclasses.replace(EMBEDDED, binary="/w", args=("-m", "/a.bin", "--port", "8"))
    assert TYPE.address(own, None) == "http://127.0.0.1:8"
    launch = TYPE.launch(own, URL, {})
    assert launch.argv == ("/w", "-m", "/a.bin", "--port", "8", "--host", "127.0.0.1")
    assert TYPE.files(own, {}) == ["/a.bin"]
    assert [finding.fatal for finding in TYPE.checks(own)] == [True]
    assert TYPE.files(EMBEDDED, {}) == []
    assert TYPE.checks(EMBEDDED) == []


def test_it_hears_and_does_nothing_else() -> None:
    assert TYPE.capabilities(EMBEDDED).shown() == ["audio"]


def test_faults_of_a_form_are_found_before_an_engine_is_asked() -> None:
    assert not TYPE.fit(EMBEDDED, CHAT, {"response_format": {"type": "json_object"}})
    with pytest.raises(BadRequest, match="response_format"):
        TYPE.fit(EMBEDDED, TRANSCRIPTION, {"response_format": "mp3"})


def test_another_model_is_not_loaded_past_the_gateway() -> None:
    client = TYPE.client(EMBEDDED, URL)
    assert client.refusal("POST", "/load?x=1")
    assert client.refusal("POST", "/inference") is None
