"""How espeak-ng is started, and what it can do."""

from __future__ import annotations

import dataclasses
import shutil
import sys

import pytest
from builders import variant

from engine.espeak.type import Espeak
from models.requests.endpoints import CHAT, SPEECH
from utils.errors import BadRequest

URL = "http://127.0.0.1:9"
TYPE = Espeak()
# A program that every machine has; it lists no voices.
PLAIN = variant(None, binary="true", args=(), name="default")
OWN = dataclasses.replace(PLAIN, args=("-v", "de", "-p", "40", "-s", "150", "--port", "8"))


def test_its_server_runs_the_program() -> None:
    launch = TYPE.launch(OWN, URL, {})
    assert launch.argv == (
        *(sys.executable, "-P", "-m", "engine.espeak.bundled", "--program", "true"),
        *("--port", "8", "--host", "127.0.0.1", "--pace", "150", "--", "-v", "de", "-p", "40"),
    )
    assert TYPE.address(OWN, None) == "http://127.0.0.1:8"
    assert TYPE.voices(OWN)[0].name == "de"
    assert not TYPE.missing(OWN)


def test_a_program_that_is_not_installed() -> None:
    none = dataclasses.replace(PLAIN, binary="/none/espeak-ng")
    [finding] = TYPE.checks(none)
    assert "/none/espeak-ng is not installed" in finding.message
    assert finding.message in TYPE.launch(none, URL, {}).argv[-1]


def test_it_speaks_and_does_nothing_else() -> None:
    assert TYPE.capabilities(PLAIN).shown() == ["speech"]
    assert not TYPE.fit(PLAIN, CHAT, {})
    assert not TYPE.fit(PLAIN, SPEECH, {"input": "Hi.", "voice": "bob"})
    with pytest.raises(BadRequest, match="input"):
        TYPE.fit(PLAIN, SPEECH, {})


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_real_program_lists_its_voices() -> None:
    real = dataclasses.replace(PLAIN, binary="")
    assert {"de", "en-gb", "fr-fr"} < {voice.name for voice in TYPE.voices(real)}
    assert TYPE.checks(real) == []
    assert TYPE.checks(dataclasses.replace(real, args=("-v", "xx")))
    with pytest.raises(BadRequest, match="no voice 'bob'"):
        TYPE.fit(real, SPEECH, {"input": "Hi.", "voice": "bob"})
