"""The bundled engine: llama.cpp's own HTTP server in this process, under llama-server's flags.

From the outside it is a llama-server:

* Once it listens, and until the model is loaded, every request is answered with 503.
* SIGTERM and SIGINT end it at once, with status 0 when the model is loaded. Before that they
  have their default effect, which is what llama-server does too: llama.cpp keeps Python from
  running while it loads, so nothing else could end a long load.
* The log goes to stderr. Status 2 means the command line was wrong, 1 that nothing could be
  served.
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
    """Serve until a signal comes, or do what else is asked for; the exit status."""
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
    """Check the files and folders that were named, and put in the contents of the small ones.

    llama.cpp would look for them only after a while, and say less.
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
            raise ValueError(f"no keys in {keys}")  # or anybody would be let in
        parameters["api_keys"] = (*(given if isinstance(given, tuple) else ()), *map(str, found))


def leave(status: int) -> NoReturn:
    """End the process now.

    Python's own way out would wait for llama.cpp's threads, and so for every stream under way.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def serve(params: xllamacpp.CommonParams) -> int:
    """Load the model and answer requests until a signal comes; the exit status."""
    endings = [signal.SIGTERM, signal.SIGINT]
    if sys.platform == "win32":
        endings.append(signal.SIGBREAK)
    for number in endings:
        signal.signal(number, signal.SIG_DFL)
    try:
        server = xllamacpp.Server(params)
    except Exception as fault:  # noqa: BLE001 - whatever C++ threw, by whatever name
        # llama.cpp has logged its own reason, which a second, vaguer one must not hide.
        known = "Failed to init server" in str(fault)
        say("exiting due to a failed start" if known else f"error: could not start: {fault}")
        return FAILURE  # by Python's own way out, on which llama.cpp writes the rest of its log
    wait_for(endings)
    say(f"stopping {server.listening_address}")
    leave(SUCCESS)  # before the server's destructor can run


def wait_for(endings: Sequence[signal.Signals]) -> None:
    """Wait for one of these signals, whichever thread the system hands it to."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in endings:
        signal.signal(number, lambda *_: None)
    ours.recv(1)


def say(text: str) -> None:
    """A line for the log; none where whoever read it is gone."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
