# ruff: noqa: INP001, T201 - a command-line program
"""The parts of the ``lua`` command that python-lua-helper needs, with the Lua inside lupa.

``-v`` prints the version; else the first argument is a script, and the others are its ``arg``.
``lua51`` beside this file runs it as a program. It imports nothing of the gateway.
"""

from __future__ import annotations

import os
import sys

# Python was started without its site packages, to start in less time.
sys.path.append(os.environ["LLM_GATEWAY_LUPA"])

from lupa.lua54 import LuaError, LuaRuntime


def run(script: str, arguments: list[str]) -> int:
    """Run the script; return the exit status of ``lua``: 0, or 1 after an error."""
    # Texts stay bytes, as in Lua: a path or a value may not be UTF-8.
    lua = LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    names = lua.globals()
    names[b"python"] = None
    names[b"arg"] = lua.table()
    for index, argument in enumerate([script, *arguments]):
        names[b"arg"][index] = os.fsencode(argument)
    try:
        names[b"dofile"](os.fsencode(script))
    except LuaError as error:
        print(f"lua: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: list[str]) -> int:
    """Do what ``lua`` does with these arguments, and return its exit status."""
    if argv[1:] == ["-v"]:
        print("Lua 5.4.0 (lupa)")
        return 0
    if len(argv) < 2:  # noqa: PLR2004 - the program and its script
        print("usage: lua51 -v | SCRIPT [ARGUMENTS]", file=sys.stderr)
        return 2
    return run(argv[1], argv[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv))
