"""How a server of Piper is started, and what it can do."""

from __future__ import annotations

import dataclasses
import sys

import pytest
from builders import variant

from engine.piper.type import Piper
from engine.piper.voices import shipped_voice
from models.requests.endpoints import CHAT, SPEECH
from utils.errors import BadRequest

URL = "http://127.0.0.1:9"
TYPE = Piper()
EMBEDDED = variant(None, binary="", args=(), name="default")


def test_the_server_of_the_packages_speaks_with_their_voice() -> None:
    launch = TYPE.launch(EMBEDDED, URL, {})
    assert launch.argv == (
        *(sys.executable, "-P", "-m", "piper.http_server", "-m", shipped_voice()),
        *("--host", "127.0.0.1", "--port", "9"),
    )
    assert TYPE.files(EMBEDDED, {}) == [shipped_voice()]
    assert [voice.name for voice in TYPE.voices(EMBEDDED)] == ["en_US-joe-medium"]
    assert TYPE.licence(EMBEDDED) == "CC0-1.0"
    assert TYPE.checks(EMBEDDED) == []


def test_a_voice_of_ones_own() -> None:
    own = dataclasses.replace(EMBEDDED, args=("-m", "/v.onnx"))
    assert TYPE.launch(own, URL, {}).argv[3:6] == ("piper.http_server", "-m", "/v.onnx")
    assert [finding.fatal for finding in TYPE.checks(own)] == [True]
    assert TYPE.licence(own) == ""


def test_a_program_of_ones_own() -> None:
    own = dataclasses.replace(EMBEDDED, binary="/py", args=("-m", "piper.http_server"))
    assert TYPE.launch(own, URL, {}).argv[:3] == ("/py", "-m", "piper.http_server")
    assert [finding.message for finding in TYPE.checks(own)] == ["no voice: give its file with -m"]


def test_it_speaks_and_does_nothing_else() -> None:
    assert TYPE.capabilities(EMBEDDED).shown() == ["speech"]
    assert not TYPE.fit(EMBEDDED, CHAT, {})
    assert not TYPE.fit(EMBEDDED, SPEECH, {"input": "Hi."})
    with pytest.raises(BadRequest, match="input"):
        TYPE.fit(EMBEDDED, SPEECH, {})


def test_it_fetches_nothing() -> None:
    client = TYPE.client(EMBEDDED, URL)
    assert client.refusal("POST", "/download")
    assert client.refusal("GET", "/all-voices?x")
    assert client.refusal("POST", "/synthesize") is None
