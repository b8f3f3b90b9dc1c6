"""The project's own virtual environment: built from the hashed lock files, or repaired.

    python environment.py            install what the gateway needs
    python environment.py speech     install that and the engines that hear and speak
    python environment.py dev        install all that and the development tools
    python environment.py --check    exit 0 if there is nothing to do

``init.sh`` and ``init.bat`` find a Python and run this file with it, so it uses only the standard
library. It writes only to the project's folder, and to the cache of downloads that ``UV_CACHE_DIR``
names, if it does: the next environment is then made from that.

The next run repairs an interrupted one:

* The stamp, a copy of the lock files, is written last. ``run.sh`` starts the gateway only if the
  stamp equals the lock files.
* The file ``unfinished`` is in the environment while packages change. If it is found at the start,
  a package may be incomplete, so the environment is built anew. Downloads are kept.
* Of two runs at once, one works; the other waits, then finds nothing to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Each contains those before it.
PROFILES: Final = ("runtime", "speech", "dev")
WINDOWS: Final = sys.platform == "win32"
# Fails without a pip that has ``--python``, as 22.3 and later have: that of a system may be older.
PIP_FOR_OTHERS: Final = (
    "import pip, sys; sys.exit([int(part) for part in pip.__version__.split('.')[:2]] < [22, 3])"
)


class Environment:
    """The folder ``venv`` of a project whose lock files are in ``locks``."""

    def __init__(self, project: Path) -> None:
        self.locks = project / "locks"
        self.folder = project / "venv"
        self.bin = self.folder / ("Scripts" if WINDOWS else "bin")
        self.python = self.bin / ("python.exe" if WINDOWS else "python")
        self.unfinished = self.folder / "unfinished"
        self._base_stamp = self.folder / "ready-base"
        self._downloads = self.folder / "downloads"
        self._inherited: tuple[int, ...] = ()

    def stamp(self, profile: str) -> Path:
        """Return the path of the stamp, which exists once ``profile`` is installed."""
        return self.folder / f"ready-{profile}"

    def locked(self, profile: str) -> bytes:
        """Return what the stamp of ``profile`` must contain, as ``run.sh`` and ``test.sh`` do."""
        names = ("uv.txt", f"{profile}.txt")
        return b"".join((self.locks / name).read_bytes() for name in names)

    def is_ready(self, profile: str) -> bool:
        """Return whether ``profile`` is installed as locked."""
        return self.python.exists() and _read(self.stamp(profile)) == self.locked(profile)

    def prepare(self, profile: str) -> None:
        """Make ``profile`` ready from any state, even a broken one; keep a larger one."""
        with self._alone():
            if self.is_ready(profile):
                return
            had = [each for each in PROFILES if self.stamp(each).exists()]
            profile = max([profile, *had], key=PROFILES.index)
            if not self._is_sound():
                self._make()
            self._install(profile)
            shutil.rmtree(self._downloads, ignore_errors=True)

    def _is_sound(self) -> bool:
        return (
            self.python.exists()
            and not self.unfinished.exists()
            and _read(self._base_stamp) == (self.locks / "uv.txt").read_bytes()
        )

    def _make(self) -> None:
        """Build the environment anew, with the locked uv and nothing else."""
        say(f"making {self.folder}")
        self.folder.mkdir(exist_ok=True)
        for entry in self.folder.iterdir():
            if entry == self._downloads:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.unfinished.touch()
        # The interpreter by its full name (python3.12, not python3): when the system replaces it,
        # the link breaks and the environment is built anew, instead of missing its packages.
        base = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        self._run([base, "-m", "venv", "--without-pip", self.folder])
        # It serves once, and uv removes it: so the system's own will do, which is made already.
        pip: list[str | Path] = [base, "-m", "pip", "--python", self.python]
        try:
            self._run([base, "-c", PIP_FOR_OTHERS], quiet=True)
        except subprocess.CalledProcessError:
            pip = [self.python, "-m", "pip"]
            self._bring_pip()
        say("installing uv")
        options = ["--quiet", "--no-cache-dir", "--no-compile", "--disable-pip-version-check"]
        self._run([*pip, "install", *options, "--require-hashes", "-r", self.locks / "uv.txt"])
        self._base_stamp.write_bytes((self.locks / "uv.txt").read_bytes())
        self.unfinished.unlink()

    def _bring_pip(self) -> None:
        """Install the pip that comes with Python. Raises SystemExit where none does."""
        try:
            self._run([self.python, "-m", "ensurepip"], quiet=True)
        except subprocess.CalledProcessError:
            raise SystemExit(
                "llm-gateway: this Python has no pip of its own "
                "(on Debian and Ubuntu: apt install python3-venv)"
            ) from None

    def _install(self, profile: str) -> None:
        """Make a sound environment contain exactly the locked packages."""
        say(f"installing the {profile} packages")
        for name in PROFILES:
            self.stamp(name).unlink(missing_ok=True)
        self.unfinished.touch()
        where = "--python", self.python, "--build-constraints", self.locks / "build.txt"
        what = self.locks / "uv.txt", self.locks / f"{profile}.txt"
        self._run([self.bin / "uv", "pip", "sync", "--require-hashes", *where, *what])
        self.unfinished.unlink()
        for name in PROFILES[: PROFILES.index(profile) + 1]:
            _write_whole(self.stamp(name), self.locked(name))

    def _run(self, command: Sequence[str | Path], *, quiet: bool = False) -> None:
        temporary = self._downloads / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
            "HATCH_BUILD_NO_HOOKS": "true",  # python-lua-helper would compile a Lua
            "PIP_USER": "0",
            "TMPDIR": str(temporary),
            "TEMP": str(temporary),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(self._downloads / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
        }
        # Children inherit the lock: if this process is killed, its uv runs on for a while, and
        # the next run waits for it.
        subprocess.run(  # noqa: S603 - the commands are this file's own
            command,
            cwd=self.locks.parent,
            env=variables,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=quiet,
            pass_fds=self._inherited,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with Path(__file__).open("rb" if not WINDOWS else "rb+") as own_file:
            if not _try_lock(own_file.fileno(), wait=False):
                say("another set-up is under way here; waiting for it")
                _try_lock(own_file.fileno(), wait=True)
            self._inherited = () if WINDOWS else (own_file.fileno(),)
            yield
            self._inherited = ()


def _try_lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file until it is closed. Return False if another process holds the lock."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - exists on Windows only

        mode = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # beyond the end: reading is not hindered
        while True:
            try:
                msvcrt.locking(descriptor, mode, 1)
            except OSError:  # LK_LOCK gives up after ten seconds
                if not wait:
                    return False
            else:
                return True
    import fcntl  # noqa: PLC0415 - does not exist on Windows

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _write_whole(path: Path, content: bytes) -> None:
    """Replace the file by this content at once, so that no reader sees a part of it."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)


def say(text: str) -> None:
    """Print a line of progress on stderr, which keeps the gateway's own output clean."""
    print(f"llm-gateway: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a set-up script


def main(arguments: Sequence[str], project: Path) -> int:
    """Do what the module's docstring says, and return the exit status."""
    if list(arguments) == ["--check"]:
        return 0 if Environment(project).is_ready("runtime") else 1
    profile = arguments[0] if arguments else "runtime"
    if len(arguments) > 1 or profile not in PROFILES:
        say(f"usage: init [{'|'.join(PROFILES)}]")
        return 2
    try:
        Environment(project).prepare(profile)
    except subprocess.CalledProcessError as failure:
        program = Path(str(failure.cmd[0])).name
        say(f"set-up failed: {program} ended with {failure.returncode}, see above; try again")
        return 1
    except OSError as failure:
        say(f"set-up failed: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parent.parent))
