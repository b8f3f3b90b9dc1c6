"""The gateway that all clients of the zoo talk to, on the bundled engine."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from obedient_models import write_obedient
from real_engines import ENGINES, Gateway, gateway, lua_config
from sdk_gateway import MARKED, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTEXT = 4096
# Coding agents send tens of thousands of tokens with their first word.
VAST = 131072
# For clients that leave in the middle of an answer. Whatever they ask for, it is more than the
# buffers of connections hold: the engine does not come to its end before a slow client has begun.
ENDLESS = 'aliases = { ["endless"] = { ignore_eos = true, max_tokens = 100000 } },'


def _model(name: str, context: int, file: Path, *more: str, settings: str = "") -> str:
    args = ["-m", str(file), "-c", context, "-np", 1, "-t", 1, "--no-warmup", *more]
    return (
        f'{{ name = "{name}", {settings} variants = {{ {{ binary = "{ENGINES["bundled"]}", '
        f"context = {context}, args = {{ {json.dumps(args)[1:-1]} }} }} }} }}"
    )


@contextlib.contextmanager
def zoo_gateway(folder: Path) -> Iterator[Gateway]:
    """Inside the block, these models are served: "smol" and "brief", which answer with a word,
    "endless", which goes on, "caller", which calls a tool, and "embed".
    """
    speaking = ("--jinja", "--temp", "0", "--chat-template-file", str(TEMPLATE))
    calling = (*speaking[:-1], str(MARKED))
    brief = write_obedient(folder / "brief.gguf", VAST, calls=False, layers=1)
    caller = write_obedient(folder / "caller.gguf", VAST, calls=True, layers=1)
    models = [
        _model("smol", CONTEXT, brief, *speaking),
        _model("brief", VAST, brief, *speaking, settings=ENDLESS),
        _model("caller", VAST, caller, *calling),
        _model("embed", 512, brief, "--embeddings", "--pooling", "mean"),
    ]
    with gateway(
        folder, lua_config(folder, ", ".join(models), f"max_loaded_models = {len(models)}")
    ) as running:
        yield running
