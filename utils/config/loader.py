"""``ConfigLoader``: read a Lua file into plain tables, or raise one error that lists every fault.

python-lua-helper runs pre.lua, the user's file and post.lua in that order. post.lua finds the
faults and returns them as data. Lua cannot find out whether a file can be executed; this file
checks that, and adds its faults to the others.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from python_lua_helper import PyLuaHelper

from utils.config.executables import ExecutableError, resolve_executable, resolve_path
from utils.config.lines import with_lines
from utils.config.lua_data import lua_data
from utils.config.tables import Tables
from utils.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from utils.config.lua_data import Presets

ROOT = Path(__file__).resolve().parents[2]
# The folder is put last on PATH; its file has the last name that python-lua-helper tries.
SHIM = ROOT / "utils" / "config" / "lua"
EXPORT = "gateway_config"
# The keys whose values are a program and its arguments.
COMMANDS = ("command", "on_ready", "on_stop", "wake")


class ConfigLoader:
    """Loads the configuration file at ``path``. It blocks, and changes environment variables.

    Its temporary files are in ``temporary``, or in the system's folder for them.
    """

    def __init__(
        self, path: str | os.PathLike[str], presets: Presets, temporary: str | None = None
    ) -> None:
        self._presets = presets
        self._temporary = temporary
        self._given = os.fspath(path)
        self._path = Path(self._given).absolute()

    def load(self) -> Tables:
        """Return the checked tables, with executables and folders as full paths.

        Raises ConfigError with every fault of the file. The file's output goes to stderr.
        """
        self._refuse_unreadable()
        exported = self._run()
        faults = [str(fault) for fault in exported["faults"]]
        executables: dict[str, str] = {}
        for entry in exported["binaries"]:
            try:
                found = resolve_executable(entry["value"], self._path.parent)
                executables[entry["value"]] = found
            except ExecutableError as error:
                place, owner = entry["place"], entry["owner"]
                faults.append(f"{place}: expected an executable, but {error}{owner}")
        # After a fault, Lua exports no tables.
        faults += _networks(exported.get("server", {}).get("trusted_proxies", ()))
        if faults:
            raise faulty(self._given, faults)
        return self._resolved(exported, executables)

    def _error(self, summary: str, faults: list[str]) -> ConfigError:
        message = "\n".join([f"{self._given}: {summary}", *faults])
        return ConfigError(message, tuple(faults))

    def _refuse_unreadable(self) -> None:
        try:
            self._path.open("rb").close()
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise self._error(f"cannot be read: {reason}", []) from error

    def _run(self) -> dict[str, Any]:
        """Run the files; return the result of post.lua, or raise ConfigError if Lua failed."""
        printed = io.StringIO()
        home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises
        try:
            with (
                tempfile.TemporaryDirectory(prefix="llm-gateway-", dir=self._temporary) as folder,
                _lua_within_reach(),
                contextlib.redirect_stdout(printed),
            ):
                data = Path(folder, "data.lua")
                data.write_text(lua_data(self._presets, home), encoding="ascii")
                exports = PyLuaHelper(
                    str(self._path),
                    export_vars=[EXPORT],
                    pre_script=str(ROOT / "pre.lua"),
                    post_script=str(ROOT / "post.lua"),
                    extra_strings=[str(data)],
                    temp_dir=folder,
                )
            left: dict[str, Any] = _Reader(exports).table(EXPORT)
        except FileNotFoundError as error:
            # Lua has reported no failure, but what it writes last is missing.
            raise self._error("Lua could not run it", ["os.exit ended it early"]) from error
        except (RuntimeError, OSError, ValueError) as error:
            # For example os.exit(1), an endless loop, output that is not text, or a broken Lua.
            raise self._error("Lua could not run it", [str(error)]) from error
        else:
            return left
        finally:
            sys.stderr.write(printed.getvalue())

    def _resolved(self, exported: dict[str, Any], executables: dict[str, str]) -> Tables:
        server, models = exported["server"], exported["models"] or []
        defaults, folders = exported.get("defaults", {}), exported.get("model_dirs", [])
        tls = server.get("tls", {})
        files = [
            (server, "state_dir"),
            (server, "capture_folder"),
            (server, "voice_turn_model"),
            (tls, "cert"),
            (tls, "key"),
        ]
        files += [(folder, "path") for folder in folders]
        files += [(model, name) for model in models for name in ("path", "mmproj", "draft")]
        for owner, name in files:
            if isinstance(owner.get(name), str):
                owner[name] = str(resolve_path(owner[name], self._path.parent))
        owners = [defaults]
        for model in models:
            owners += (model, model.get("tokenization", {}), *model.get("variants", ()))
            # Parameters come as JSON, because a name may have dots and a value may have any type.
            for name in ("set_params", "metadata"):
                if name in model:
                    model[name] = json.loads(model[name])
            for alias in model.get("aliases", ()):
                if isinstance(alias, dict):
                    alias["params"] = json.loads(alias["params"])
        for owner in owners:
            if "binary" in owner:
                owner["binary"] = executables[owner["binary"]]
        peers = exported.get("peers", [])
        _find_programs((server, *owners, *peers), executables)
        # post.lua has checked every key and type.
        return Tables(
            server,
            models,
            exported.get("groups", []),
            exported.get("accounts"),
            exported.get("routes", []),
            defaults,
            exported.get("discover"),
            folders,
            peers,
        )


def _find_programs(tables: Iterable[dict[str, Any]], executables: dict[str, str]) -> None:
    """Write the full path of each command's program in place of its name."""
    for owner, name in itertools.product(tables, COMMANDS):
        if name in owner:
            program, *arguments = owner[name]
            owner[name] = [executables[program], *arguments]


def faulty(path: str | os.PathLike[str], faults: Sequence[str]) -> ConfigError:
    """Return the error of a file with these faults, each of which names its place.

    The message tells the lines, too, where the file shows them.
    """
    summary = f"{os.fspath(path)}: {len(faults)} fault{'s' * (len(faults) > 1)}"
    try:
        source = Path(path).read_text("utf-8", "replace")
    except OSError:
        source = ""
    return ConfigError("\n".join([summary, *with_lines(source, list(faults))]), tuple(faults))


def _networks(given: Sequence[str]) -> Iterator[str]:
    """Yield a fault for each that is neither an address nor a network."""
    for position, text in enumerate(given, start=1):
        try:
            ip_network(text, strict=False)
        except ValueError:
            place = f"server.trusted_proxies[{position}]"
            yield f'{place}: expected an address or a network such as "10.0.0.0/8", got "{text}"'


class _Reader:
    """Rebuilds nested values from the flat ``a.b.1`` keys of python-lua-helper.

    This is unambiguous, because post.lua exports no key with a dot and no empty list.
    """

    def __init__(self, exports: PyLuaHelper) -> None:
        self._exports = exports
        self._children: dict[str, list[str]] = {}
        for key in exports:
            parent, _, name = key.rpartition(".")
            self._children.setdefault(parent, []).append(name)

    def table(self, key: str) -> Any:  # noqa: ANN401 - a list or a dict
        indices = self._exports.get_table_seq(key)
        if indices:
            return [self._value(f"{key}.{index}") for index in indices]
        return {name: self._value(f"{key}.{name}") for name in self._children.get(key, ())}

    def _value(self, key: str) -> Any:  # noqa: ANN401 - of any depth
        kind = self._exports.get_type(key)
        if kind == "table":
            return self.table(key)
        text = self._exports[key]
        if kind == "boolean":
            return text == "true"
        if kind == "number":
            return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
        return text


def _folder_of_lupa() -> str:
    """Return the folder from which lupa is imported, without importing it."""
    found = importlib.util.find_spec("lupa")
    return os.fspath(Path(found.origin).parents[1]) if found and found.origin else ""


@contextlib.contextmanager
def _lua_within_reach() -> Iterator[None]:
    """Inside the block, a search for Lua finds the system's, or else the one inside lupa."""
    names = ("PATH", "PATHEXT", "LLM_GATEWAY_PYTHON", "LLM_GATEWAY_LUPA")
    before = {name: os.environ.get(name) for name in names}
    os.environ["PATH"] = os.pathsep.join(filter(None, [before["PATH"], str(SHIM)]))
    os.environ["LLM_GATEWAY_PYTHON"] = sys.executable
    os.environ["LLM_GATEWAY_LUPA"] = _folder_of_lupa()
    if os.name == "nt" and not any(map(shutil.which, ("lua.exe", "lua54.exe", "lua5.4.exe"))):
        # python-lua-helper looks for "lua51.exe"; with this it finds lua51.exe.bat.
        os.environ["PATHEXT"] = ".BAT"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
