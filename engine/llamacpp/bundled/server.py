"""The bundled engine: llama.cpp's HTTP server in this process, with llama-server's flags.

It behaves as llama-server does:

* While the model loads, it answers every request with 503.
* SIGTERM and SIGINT end it at once, with status 0 if the model is loaded. During the load they
  have their default effect, as in llama-server. Python cannot run while llama.cpp loads, so a
  handler could not end a long load.
* The log goes to stderr. Status 2 means an error in the command line, 1 a failed start.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import xllamacpp

from engine.llamacpp.bundled.flags import FlagError, Value, parse, usage
from engine.llamacpp.bundled.parameters import apply
from engine.llamacpp.bundled.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SUCCESS: Final = 0
FAILURE: Final = 1
MISUSE: Final = 2


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until a signal comes, or print the help or the version. Return the exit status."""
    try:
        parameters = parse(TABLE, arguments, environment)
    except FlagError as fault:
        say(f"error: {fault}")
        return MISUSE
    if ":help" in parameters:
        print(usage(TABLE))
        return SUCCESS
    if ":version" in parameters:
        print(f"llama.cpp {xllamacpp.__version__.rpartition('.')[2]}, by xllamacpp")
        return SUCCESS
    try:
        read_files(parameters)
        params = xllamacpp.CommonParams()
        apply(parameters, params, xllamacpp.common_params_sampling_config)
    except (OSError, ValueError) as fault:
        say(f"error: {fault}")
        return FAILURE
    return serve(params)


def read_files(parameters: dict[str, Value]) -> None:
    """Check the named files and folders, and replace the small files by their contents.

    llama.cpp would check them later and with worse messages. Raises OSError or ValueError.
    """
    model = str(parameters.get("model.path", ""))
    if not model:
        raise ValueError("no model: give its file with -m or LLAMA_ARG_MODEL")
    for file in (model, str(parameters.get("mmproj.path", ""))):
        if file and not Path(file).is_file():
            raise ValueError(f"no such file: {file}")
    for target in ("slot_save_path", "media_path"):
        folder = parameters.pop(f":folder.{target}", None)
        if folder is not None:
            if not Path(str(folder)).is_dir():
                raise ValueError(f"not a directory: {folder}")
            parameters[target] = os.path.join(str(folder), "")  # noqa: PTH118 - ends with a slash
    if template := parameters.pop(":file.chat_template", ""):
        parameters["chat_template"] = Path(str(template)).read_text(encoding="utf-8")
    if keys := parameters.pop(":file.api_keys", ""):
        lines = Path(str(keys)).read_text(encoding="utf-8").splitlines()
        given = parameters.get("api_keys", ())
        found = tuple(key for line in lines if (key := line.strip()) and not key.startswith("#"))
        if not found:
            raise ValueError(f"no keys in {keys}")  # without keys, everybody would have access
        parameters["api_keys"] = (*(given if isinstance(given, tuple) else ()), *map(str, found))


def leave(status: int) -> NoReturn:
    """End the process now.

    A normal exit would wait for llama.cpp's threads, and so for every stream in progress.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def serve(params: xllamacpp.CommonParams) -> int:
    """Load the model and serve requests until a signal comes. Return the exit status."""
    endings = [signal.SIGTERM, signal.SIGINT]
    if sys.platform == "win32":
        endings.append(signal.SIGBREAK)
    for number in endings:
        signal.signal(number, signal.SIG_DFL)
    try:
        server = xllamacpp.Server(params)
    except Exception as fault:  # noqa: BLE001 - C++ exceptions come under several names
        # llama.cpp has logged the reason already; a second, vaguer message would hide it.
        known = "Failed to init server" in str(fault)
        say("exiting due to a failed start" if known else f"error: could not start: {fault}")
        return FAILURE  # a normal exit, so that llama.cpp writes the rest of its log
    wait_for(endings)
    say(f"stopping {server.listening_address}")
    leave(SUCCESS)  # before the server's destructor can run


def wait_for(endings: Sequence[signal.Signals]) -> None:
    """Wait for one of these signals, in whichever thread it arrives."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in endings:
        signal.signal(number, lambda *_: None)
    ours.recv(1)


def say(text: str) -> None:
    """Write a line to the log on stderr; ignore a closed stderr."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
