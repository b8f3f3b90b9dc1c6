"""Import the libraries of an environment once, then run each client in a child that has them.

It gets a line of JSON for each client, and answers with the exit status of its child. The names of
the libraries are on the command line.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import sys
import traceback


def _run(script: str, environment: dict[str, str], folder: str) -> None:
    """Run the script in this process, and end it."""
    status = 1
    try:
        os.chdir(folder)
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = [script]
        runpy.run_path(script, run_name="__main__")
        status = 0
    except BaseException:  # noqa: BLE001 - whatever ends a client is told
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Serve until the end of the input."""
    # What is imported stays. To look for garbage in it takes a sixth of the time, and would copy
    # its pages in each child.
    gc.disable()
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(job["script"], job["environment"], job["folder"])
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)


main()
