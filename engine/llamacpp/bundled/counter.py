"""``python -m engine.llamacpp.bundled.counter MODEL [FLAG …]``: count tokens, and do nothing else.

It serves the paths of llama-server that count. ``MODEL`` is a file that may have only a vocabulary;
it is removed when it is loaded. It may be followed by flags for the chat template. Once it is
ready, it prints ``READY``, its address and its key in one line. It ends when its input ends.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import xllamacpp

from engine.llamacpp.bundled.flags import parse
from engine.llamacpp.bundled.parameters import apply
from engine.llamacpp.bundled.server import leave, read_files
from engine.llamacpp.bundled.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.llamacpp.bundled.flags import Value

READY: Final = "counts tokens at"
# What of llama-server's flags decides how a chat becomes a prompt.
_NAMES: Final = {
    "--jinja",
    "--chat-template",
    "--chat-template-file",
    "--chat-template-kwargs",
    "--reasoning",
    "--reasoning-format",
}
_TEMPLATE: Final = tuple(flag for flag in TABLE if _NAMES & {*flag.names})
_SMALL: Final[Mapping[str, Value]] = {
    "n_ctx": 256,
    "n_batch": 32,
    "n_ubatch": 32,
    "n_gpu_layers": 0,
    "fit_params": False,
    "warmup": False,
    "ui": False,
    "cache_ram_mib": 0,
    "cpuparams.n_threads": 1,
    "n_threads_http": 2,
    "load_mode": "LLAMA_LOAD_MODE_NONE",
    "hostnames": ("127.0.0.1",),
    "port": 0,
    "verbosity": 1,
}


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Serve until the input ends; then the process has ended."""
    model, *flags = arguments
    key = secrets.token_hex(16)
    said = parse(_TEMPLATE, flags, environment)
    parameters = {**said, **_SMALL, "model.path": model, "api_keys": (key,)}
    read_files(parameters)
    params = xllamacpp.CommonParams()
    apply(parameters, params, xllamacpp.common_params_sampling_config)
    server = xllamacpp.Server(params)
    Path(model).unlink()
    print(READY, server.listening_address, key, flush=True)
    sys.stdin.buffer.read()
    leave(0)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
