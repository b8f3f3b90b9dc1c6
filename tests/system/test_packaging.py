"""The package as ``uv tool install .`` and pipx make it: the command works from anywhere.

The wheel is built as an installer builds it; what it depends on is lent by this environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gateway import until
from gateway_child import config
from paths import ROOT
from ports import quiet_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fake_engine import Journal

PACKAGES = ("accounts", "engine", "inference", "models", "server", "utils", "voice", "web")
UV = shutil.which("uv", path=Path(sys.executable).parent) or "uv"


def run(*command: str | Path, cwd: str | Path = "/") -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    constraints = ROOT / "locks" / "build.txt"
    run(UV, "build", "--quiet", "--wheel", "-b", constraints, "-o", folder, ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, in a fresh environment of its own."""
    folder = tmp_path_factory.mktemp("a tool")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "llm-gateway"


def test_everything_is_in_it_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {"app.py", "main.py", "pre.lua", "post.lua", "example.cfg.lua"}
    for package in PACKAGES:
        files = (path for path in (ROOT / package).rglob("*") if path.is_file())
        expected |= {str(p.relative_to(ROOT)) for p in files if "__pycache__" not in p.parts}
    assert names == expected


def test_it_asks_for_nothing_that_must_be_compiled(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(metadata).decode()
    assert "Requires-Dist: aiohttp\n" in text
    needed = [line.lower() for line in text.splitlines() if line.startswith("Requires-Dist:")]
    assert not [line for line in needed if "smollm2" in line or "llama-cpp-python" in line]


def test_it_tells_its_version(command: Path) -> None:
    assert run(command, "--version") == "llm-gateway 0.1.0\n"


@pytest.mark.parametrize("where", ["/", ROOT])
def test_it_checks_the_example_from_anywhere(
    command: Path, where: str | Path, tmp_path: Path
) -> None:
    example = shutil.copy(ROOT / "example.cfg.lua", tmp_path / "my.cfg.lua")
    assert "valid, 1 model(s), 3 variant(s)" in run(command, "-c", example, "--check", cwd=where)


def test_its_engine_runs_on_its_own_python(command: Path) -> None:
    python = command.with_name("python")
    program = "from engine.llamacpp.shipped import bundled_server; print(bundled_server())"
    launcher = run(python, "-c", program).strip()
    assert launcher.startswith(str(command.parent.parent))
    env = {"PATH": "/usr/bin:/bin", "LLM_GATEWAY_PYTHON": str(python)}
    done = subprocess.run(
        [launcher, "--help"], env=env, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--ctx-size" in done.stdout


@contextmanager
def served(command: Path, file: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen([command, "-c", file], stdout=output, stderr=output, cwd="/")
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


async def test_it_serves_and_reloads(command: Path, journal: Journal, tmp_path: Path) -> None:
    file, log = tmp_path / "my.cfg.lua", tmp_path / "log"
    file.write_text(config(journal, quiet_port()))
    with served(command, file, log) as process:
        await until(lambda: "listening on" in log.read_text())
        os.kill(process.pid, 1)
        await until(lambda: "nothing has changed" in log.read_text())
