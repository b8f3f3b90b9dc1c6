"""Setting up: when there is something to do, what is repaired, and how the scripts behave.

Nothing is downloaded: the commands that would are replaced by ones that leave the same traces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from paths import ROOT

from utils import environment
from utils.environment import PIP_FOR_OTHERS, Environment, main

if TYPE_CHECKING:
    from collections.abc import Sequence

FROM_NOTHING = ["venv", PIP_FOR_OTHERS, "install", "sync"]
WITHOUT_PIP = ["venv", PIP_FOR_OTHERS, "ensurepip", "install", "sync"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")


class Workshop(Environment):
    """An environment whose commands are recorded and do nothing."""

    def __init__(self, project: Path) -> None:
        super().__init__(project)
        self.done: list[str] = []
        self.fails_at: str | None = None
        self.killed_at: str | None = None

    def _run(self, command: Sequence[str | Path], *, quiet: bool = False) -> None:
        step = next(step for step in WITHOUT_PIP if step in command)
        self.done.append(step)
        if step == "venv":
            self.bin.mkdir(parents=True)
            self.python.touch()
        (self._downloads / "uv").mkdir(parents=True, exist_ok=True)
        if self.killed_at == step:
            raise KeyboardInterrupt
        if self.fails_at == step:
            raise subprocess.CalledProcessError(1, list(map(str, command)))
        assert quiet == (step in {PIP_FOR_OTHERS, "ensurepip"})


@pytest.mark.parametrize(
    ("version", "serves"), [("22.0.2", False), ("22.3", True), ("100.0.1", True)]
)
def test_a_pip_too_old_for_another_environment_is_not_taken(
    tmp_path: Path, version: str, *, serves: bool
) -> None:
    (tmp_path / "pip.py").write_text(f"__version__ = {version!r}\n")
    asked = [sys.executable, "-c", PIP_FOR_OTHERS]
    ended = subprocess.run(asked, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False)
    assert (ended.returncode == 0) == serves


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a project"
    (folder / "locks").mkdir(parents=True)
    for name in ("uv", "runtime", "speech", "dev", "build"):
        (folder / "locks" / f"{name}.txt").write_text(f"{name}==1\n")
    return folder


def steps(project: Path, profile: str = "runtime") -> list[str]:
    workshop = Workshop(project)
    workshop.prepare(profile)
    assert workshop.is_ready(profile)
    assert not workshop.unfinished.exists()
    assert not list(workshop.folder.glob("downloads*"))
    return workshop.done


class TestEnvironment:
    def test_nothing_becomes_ready(self, project: Path) -> None:
        assert not Environment(project).is_ready("runtime")
        assert steps(project) == FROM_NOTHING
        assert not Environment(project).is_ready("dev")

    def test_ready_stays_as_it_is(self, project: Path) -> None:
        steps(project)
        assert steps(project) == []

    def test_dev_comes_on_top_and_is_enough_to_run(self, project: Path) -> None:
        steps(project)
        assert steps(project, "dev") == ["sync"]
        assert steps(project) == []

    def test_a_changed_lock_changes_packages_only(self, project: Path) -> None:
        steps(project)
        (project / "locks" / "runtime.txt").write_text("runtime==2\n")
        assert not Environment(project).is_ready("runtime")
        assert steps(project) == ["sync"]

    @pytest.mark.parametrize("larger", ["speech", "dev"])
    def test_what_was_installed_beyond_is_kept(self, project: Path, larger: str) -> None:
        steps(project, larger)
        (project / "locks" / "runtime.txt").write_text("runtime==2\n")
        assert steps(project) == ["sync"]
        assert Environment(project).is_ready(larger)

    def test_the_tools_of_dev_bring_the_engines_of_speech(self, project: Path) -> None:
        steps(project, "speech")
        assert not Environment(project).is_ready("dev")
        assert steps(project, "dev") == ["sync"]
        assert steps(project, "speech") == []

    def test_another_uv_means_another_environment(self, project: Path) -> None:
        steps(project)
        (project / "locks" / "uv.txt").write_text("uv==2\n")
        assert steps(project) == FROM_NOTHING

    def test_a_python_that_is_gone_means_another_environment(self, project: Path) -> None:
        steps(project)
        Environment(project).python.unlink()
        assert steps(project) == FROM_NOTHING

    @pytest.mark.parametrize("step", FROM_NOTHING)
    def test_killed_at_any_step_it_is_repaired(self, project: Path, step: str) -> None:
        workshop = Workshop(project)
        workshop.killed_at = step
        with pytest.raises(KeyboardInterrupt):
            workshop.prepare("runtime")
        assert not workshop.is_ready("runtime")
        (workshop.folder / "half").mkdir()
        assert steps(project) == FROM_NOTHING
        assert not (workshop.folder / "half").exists()

    def test_killed_while_changing_packages_it_is_made_anew(self, project: Path) -> None:
        steps(project, "dev")
        (project / "locks" / "dev.txt").write_text("dev==2\n")
        workshop = Workshop(project)
        workshop.killed_at = "sync"
        with pytest.raises(KeyboardInterrupt):
            workshop.prepare("dev")
        assert not workshop.is_ready("runtime")
        assert (workshop.folder / "downloads" / "uv").exists()
        assert steps(project) == FROM_NOTHING

    def test_a_system_without_pip_has_it_from_ensurepip(self, project: Path) -> None:
        workshop = Workshop(project)
        workshop.fails_at = PIP_FOR_OTHERS
        workshop.prepare("runtime")
        assert workshop.done == WITHOUT_PIP

    def test_without_any_pip_the_reader_is_told_what_to_install(self, project: Path) -> None:
        class NoPip(Workshop):
            def _run(self, command: Sequence[str | Path], *, quiet: bool = False) -> None:
                self.fails_at = PIP_FOR_OTHERS if PIP_FOR_OTHERS in command else "ensurepip"
                super()._run(command, quiet=quiet)

        with pytest.raises(SystemExit, match="apt install python3-venv"):
            NoPip(project).prepare("runtime")
        assert not Environment(project).is_ready("runtime")

    def test_a_download_that_fails_leaves_no_stamp(self, project: Path) -> None:
        workshop = Workshop(project)
        workshop.fails_at = "install"
        with pytest.raises(subprocess.CalledProcessError):
            workshop.prepare("runtime")
        assert not workshop.is_ready("runtime")

    def test_of_two_at_once_one_works_and_one_waits(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside, go_on, waiting = threading.Event(), threading.Event(), threading.Event()

        # Reading what pytest captures would lose what another thread writes meanwhile.
        def hear(text: str) -> None:
            if "waiting for it" in text:
                waiting.set()

        monkeypatch.setattr("utils.environment.say", hear)

        class Slow(Workshop):
            def _run(self, command: Sequence[str | Path], *, quiet: bool = False) -> None:
                inside.set()
                assert go_on.wait(30)
                super()._run(command, quiet=quiet)

        class Waiting(Workshop):
            pass

        first, second = Slow(project), Waiting(project)
        threads = [threading.Thread(target=e.prepare, args=("runtime",)) for e in (first, second)]
        threads[0].start()
        assert inside.wait(30)
        threads[1].start()
        assert waiting.wait(30)
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert first.done == FROM_NOTHING
        assert second.done == []


class TestCommand:
    def test_check(self, project: Path) -> None:
        assert main(["--check"], project) == 1
        steps(project)
        assert main(["--check"], project) == 0

    @pytest.mark.parametrize("line", ["prod", "dev dev", "--chek"])
    def test_misuse(self, project: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(line.split(), project) == 2
        assert "usage" in capsys.readouterr().err

    def test_a_failure_is_one_line(
        self,
        project: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(_: Environment, __: str) -> None:
            raise subprocess.CalledProcessError(2, [Path("/x/uv"), "pip"])

        monkeypatch.setattr(Environment, "prepare", fail)
        assert main([], project) == 1
        assert "set-up failed: uv ended with 2, see above" in capsys.readouterr().err

    def test_a_file_in_the_way_is_one_line(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (project / "venv").touch()
        assert main(["dev"], project) == 1
        assert "set-up failed: [Errno 17]" in capsys.readouterr().err


def test_a_real_command_runs_without_the_callers_python_settings(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)

    def told(cache: Path) -> None:
        program = (
            "import os; assert 'PYTHONPATH' not in os.environ; "
            f"assert os.environ['UV_CACHE_DIR'] == {str(cache)!r}"
        )
        Environment(project)._run([sys.executable, "-c", program])

    told(project / "venv" / "downloads" / "uv")
    monkeypatch.setenv("UV_CACHE_DIR", str(project / "shared"))
    told(project / "shared")
    with pytest.raises(subprocess.CalledProcessError):
        Environment(project)._run([sys.executable, "-c", "raise SystemExit(3)"], quiet=True)


@posix
class TestScripts:
    """run.sh and init.sh in a folder with a space in its name, called from elsewhere."""

    @pytest.fixture
    def scripts(self, project: Path) -> Path:
        for name in ("run.sh", "init.sh"):
            shutil.copy(ROOT / name, project)
        steps(project)
        python = project / "venv" / "bin" / "python"
        python.write_text('#!/bin/sh\necho "$PWD|$*|$$"\n')
        python.chmod(0o755)
        return project

    def call(self, script: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [script, *arguments],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_a_ready_start_becomes_the_gateway_where_the_caller_is(self, scripts: Path) -> None:
        process = self.call(scripts / "run.sh", "-c", "my config.lua")
        out, err = process.communicate()
        assert out == f"/|{scripts}/main.py -c my config.lua|{process.pid}\n"
        assert err == ""

    def test_a_link_to_it_leads_to_the_project(self, scripts: Path, tmp_path: Path) -> None:
        (tmp_path / "gateway").symlink_to(Path("a project") / "run.sh")
        out, _ = self.call(tmp_path / "gateway").communicate()
        assert f"{scripts}/main.py" in out

    @pytest.mark.parametrize("what", ["stamp", "lock", "python"])
    def test_it_sets_up_before_where_something_is_missing(self, scripts: Path, what: str) -> None:
        (scripts / "init.sh").write_text('#!/bin/sh\necho "set-up $*"\nexit 7\n')
        if what == "stamp":
            (scripts / "venv" / "ready-runtime").unlink()
        elif what == "lock":
            (scripts / "locks" / "runtime.txt").write_text("runtime==2\n")
        else:
            (scripts / "venv" / "bin" / "python").unlink()
        process = self.call(scripts / "run.sh")
        assert process.communicate()[0] == "set-up \n"
        assert process.returncode == 7

    def test_init_passes_on_what_is_asked(self, scripts: Path) -> None:
        python = scripts / "venv" / "bin" / "python"
        process = self.call(scripts / "init.sh", "dev", PYTHON=str(python))
        out, _ = process.communicate()
        assert out == f"/|-I {scripts}/utils/environment.py dev|{process.pid}\n"

    def test_init_passes_over_a_python_that_does_not_run(
        self, scripts: Path, tmp_path: Path
    ) -> None:
        for name, line in (("python3", "exit 1"), ("python3.12", 'echo "chosen $*"')):
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
        out, _ = self.call(scripts / "init.sh", PATH=str(tmp_path)).communicate()
        assert "chosen -I" in out

    @pytest.mark.parametrize("there", [True, False])
    def test_init_asks_uv_for_a_python(self, scripts: Path, tmp_path: Path, there: bool) -> None:
        """A Python that uv has is taken; otherwise uv installs one."""
        found = tmp_path / "a python"
        found.write_text('#!/bin/sh\necho "chosen $*"\n')
        found.chmod(0o755)
        uv = tmp_path / "uv"
        uv.write_text(
            f"""#!/bin/sh
            case "$*" in
            "python install 3.12") : >"{tmp_path}/installed" ;;
            "python find "*) [ -e "{tmp_path}/installed" ] && echo "{found}" ;;
            *) exit 9 ;;
            esac
            """
        )
        uv.chmod(0o755)
        if there:
            (tmp_path / "installed").touch()
        (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
        process = self.call(scripts / "init.sh", "dev", PATH=str(tmp_path))
        out, err = process.communicate()
        assert (process.returncode, out) == (0, f"chosen -I {scripts}/utils/environment.py dev\n")
        assert err == "llm-gateway: Python 3.11 or newer was not found; asking uv for one\n"

    def test_init_says_what_is_needed_where_uv_cannot_bring_one(
        self, scripts: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "uv").write_text('#!/bin/sh\necho "no network" >&2\nexit 2\n')
        (tmp_path / "uv").chmod(0o755)
        (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
        process = self.call(scripts / "init.sh", PATH=str(tmp_path))
        _, err = process.communicate()
        assert process.returncode == 1
        assert "no network\n" in err
        assert "Python 3.11 or newer is needed" in err

    def test_init_without_any_python_says_what_is_needed(
        self, scripts: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
        process = self.call(scripts / "init.sh", PATH=str(tmp_path))
        _, err = process.communicate()
        assert process.returncode == 1
        assert "Python 3.11 or newer is needed" in err


def test_scripts_and_stamps_agree() -> None:
    """run.sh and test.sh compare what the environment writes: the same files in the same order."""
    for script, profile in (("run.sh", "runtime"), ("test.sh", "dev")):
        text = (ROOT / script).read_text()
        assert f'cat "$here/locks/uv.txt" "$here/locks/{profile}.txt" |' in text
        assert f'"$here/venv/{Environment(ROOT).stamp(profile).name}"' in text


@pytest.mark.parametrize("lock", sorted((ROOT / "locks").glob("*.txt")), ids=lambda p: p.name)
def test_locks_have_hashes_and_name_no_registry(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    packages = [line for line in text.splitlines() if not line.startswith(" ")]
    assert packages
    assert all(line.endswith("\\") for line in packages)


def test_set_up_needs_the_standard_library_only() -> None:
    source = Path(environment.__file__).read_text()
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line[:4] == "from"}
    assert imported <= sys.stdlib_module_names
