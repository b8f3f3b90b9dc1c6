"""A gateway on real engines for tests of client libraries: a chat and an embedding model.

The queue holds one request, and each model answers one request at a time, so a third is refused.
"""

from __future__ import annotations

import contextlib
import json
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obedient_models import write_obedient
from raw_client import PATIENCE
from real_engines import ENGINES, Gateway, gateway, lua_config

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = 16384
TEMPLATE = Path(__file__).resolve().parent / "tools.jinja"
MARKED = TEMPLATE.with_name("marked_tools.jinja")
CITIES = ["Paris", "Rome"]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": CITIES}},
    "required": ["city"],
}
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a city.",
        "parameters": PARAMETERS,
    },
}
HELLO: Any = [{"role": "user", "content": "Hello"}]
QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
TOO_LONG: Any = [{"role": "user", "content": "the quick brown fox " * 5000}]
# Longer than a test takes to check; the client leaves before the end.
ENDLESS: Any = {"max_tokens": 16000, "extra_body": {"ignore_eos": True}}


def _model(name: str, binary: str, file: Path, context: int, more: str, *args: str) -> str:
    words = ["-m", str(file), "-c", context, "-np", 1, "-t", 1, "--no-warmup", *args]
    return (
        f'{{ name = "{name}", {more} variants = {{ {{ binary = "{binary}", '
        f"context = {context}, args = {{ {json.dumps(words)[1:-1]} }} }} }} }}"
    )


@contextlib.contextmanager
def sdk_gateway(folder: Path, engine: str) -> Iterator[Gateway]:
    """Inside the block, "smol" (also "tiny"), which answers with a word, "caller", which calls a
    tool if it has any, and "embed" are served.
    """
    binary = ENGINES[engine]
    brief = write_obedient(folder / "brief.gguf", CONTEXT, calls=False)
    caller = write_obedient(folder / "caller.gguf", CONTEXT, calls=True)
    speaking = ("--jinja", "--temp", "0", "--chat-template-file")
    models = [
        _model("smol", binary, brief, CONTEXT, 'aliases = { "tiny" },', *speaking, str(TEMPLATE)),
        _model("caller", binary, caller, CONTEXT, "", *speaking, str(MARKED)),
        _model("embed", binary, brief, 512, "", "--embeddings", "--pooling", "mean"),
    ]
    server = f"max_loaded_models = {len(models)}, max_queue = 1"
    with gateway(folder, lua_config(folder, ", ".join(models), server)) as running:
        yield running


def health(served: Gateway) -> Any:
    with urllib.request.urlopen(f"{served.url}/health", timeout=PATIENCE) as response:
        return json.load(response)


def active(served: Gateway, model: str = "smol") -> int:
    """Return how many requests the model's engine answers now."""
    engines = health(served)["engines"]
    return sum(engine["active"] for engine in engines if engine["model"] == model)


def until_waiting(served: Gateway, count: int) -> None:
    """Wait until the gateway's queue has this number of requests."""
    deadline = time.monotonic() + PATIENCE
    while health(served)["waiting"] != count:
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def until_idle(served: Gateway) -> None:
    """Wait until the chat model's engine has no requests and the queue is empty."""
    deadline = time.monotonic() + PATIENCE
    while active(served) or health(served)["waiting"]:
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextlib.contextmanager
def holding(served: Gateway) -> Iterator[None]:
    """Inside the block, the only slot of the chat model is in use."""
    body = {"model": "smol", "messages": HELLO, "stream": True}
    body |= {"max_tokens": ENDLESS["max_tokens"], **ENDLESS["extra_body"]}
    request = urllib.request.Request(f"{served.url}/v1/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        assert response.readline()
        assert active(served) == 1
        yield
