"""Run a configuration with pre.lua and post.lua on one of lupa's Luas, in this process."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import python_lua_helper
from paths import ROOT

from utils.config.lua_data import Presets, lua_data

LOADER = Path(python_lua_helper.__file__).parent / "loader.lua"
VERSIONS = ("lua51", "lua52", "lua53", "lua54", "lua55")
PRESETS = Presets(("llamacpp",), "/bin/sh", "/models/small.gguf")
VARIANT = '{ context = 512, binary = "/bin/sh" }'


# As Lua's own, but each of our files is compiled once.
_DOFILE = b"""
    local compiled, read, own = ..., loadstring or load, dofile
    return function(file)
        local chunk = compiled(file)
        if chunk then return read(chunk)() end
        return own(file)
    end
"""


_chunks: dict[tuple[str, str], bytes] = {}


def _compiled(version: str, file: bytes) -> bytes | None:
    path = Path(file.decode())
    if not (path == LOADER or path.is_relative_to(ROOT) or path.name.startswith("data-")):
        return None
    # The folder of the data differs from test to test, the data do not.
    key = version, path.name
    if key not in _chunks:
        made = importlib.import_module(f"lupa.{version}").LuaRuntime(encoding=None).globals()
        _chunks[key] = made[b"string"][b"dump"](made[b"loadfile"](file))
    return _chunks[key]


@cache
def _data(presets: Presets) -> str:
    return lua_data(presets, "/home/me")


def plain(value: Any) -> Any:
    """Return Lua tables as lists or dicts, and texts as str if they are UTF-8."""
    if isinstance(value, bytes):
        return value.decode()
    if not hasattr(value, "items"):
        return value
    entries = {plain(key): plain(item) for key, item in value.items()}
    if entries and all(isinstance(key, int) for key in entries):
        return [entries[key] for key in sorted(entries)]
    return entries


@dataclass
class Result:
    faults: list[str]
    server: dict[str, Any] = field(default_factory=dict)
    models: list[dict[str, Any]] = field(default_factory=list)
    globals: Any = None
    more: dict[str, Any] = field(default_factory=dict)


def run(version: str, folder: Path, source: str | bytes, presets: Presets = PRESETS) -> Result:
    """Return the result of post.lua for ``source``, which is written to a file in ``folder``."""
    lupa = importlib.import_module(f"lupa.{version}")
    config = folder / "my.cfg.lua"
    config.write_bytes(source.encode() if isinstance(source, str) else source)
    lua = lupa.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    arguments = ["-ver", version[3], version[4], "0", "-c", config, "-e", "gateway_config"]
    data = folder / f"data-{hash(presets)}.lua"
    if not data.exists():
        data.write_text(_data(presets), encoding="ascii")
    arguments += ["-pre", ROOT / "pre.lua", "-post", ROOT / "post.lua", "-ext", data]
    arguments += ["-w", folder, "-t", folder, "--"]
    lua.globals()[b"arg"] = lua.table_from([str(item).encode() for item in arguments])
    dofile = lua.execute(_DOFILE, partial(_compiled, version))
    lua.globals()[b"dofile"] = dofile
    dofile(str(LOADER).encode())
    left = plain(lua.globals()[b"gateway_config"])
    faults = list(left["faults"])
    return Result(
        faults, left.get("server") or {}, left.get("models") or [], lua.globals(), dict(left)
    )


def model(extra: str = "", variants: str = VARIANT, name: str = "a") -> str:
    return f'{{ name = "{name}", variants = {{ {variants} }}, {extra} }}'


def models(extra: str = "", variants: str = VARIANT) -> str:
    return f"models = {{ {model(extra, variants)} }}"


def variant(extra: str) -> str:
    return models(variants=f'{{ context = 512, binary = "/bin/sh", {extra} }}')


def route(extra: str) -> str:
    return f"{models()} routes = {{ r = {{ {extra} }} }}"
