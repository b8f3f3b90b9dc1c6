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

from raw_client import PATIENCE
from real_engines import ENGINES, MODEL, Gateway, gateway, lua_config

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = 2048
TEMPLATE = Path(__file__).resolve().parent / "tools.jinja"
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
TOO_LONG: Any = [{"role": "user", "content": "the quick brown fox " * 1000}]
# Longer than a test takes to check; the client leaves before the end.
ENDLESS: Any = {"max_tokens": 1900, "extra_body": {"ignore_eos": True}}

# A model this small calls no tool by itself. Under the name "caller" it begins every answer with
# "{", the start of a tool call; then the engine's grammar allows nothing else.
CALLER = '["caller"] = { logit_bias = { ["{"] = 100 }, parallel_tool_calls = false }'


def _model(name: str, binary: str, context: int, names: str, *more: str) -> str:
    args = ["-m", MODEL, "-c", context, "-np", 1, "-t", 1, "--no-warmup", *more]
    return (
        f'{{ name = "{name}", aliases = {{ {names} }}, variants = {{ {{ binary = "{binary}", '
        f"context = {context}, args = {{ {json.dumps(args)[1:-1]} }} }} }} }}"
    )


@contextlib.contextmanager
def sdk_gateway(folder: Path, engine: str) -> Iterator[Gateway]:
    """Inside the block, "smol" (also "tiny", and "caller") and "embed" are served."""
    binary = ENGINES[engine]
    # At the default temperature, the answer of a model this small is sometimes empty.
    speaking = ("--jinja", "--chat-template-file", str(TEMPLATE), "--temp", "0")
    models = [
        _model("smol", binary, CONTEXT, f'"tiny", {CALLER}', *speaking),
        _model("embed", binary, 512, "", "--embeddings", "--pooling", "mean"),
    ]
    server = "max_loaded_models = 2, max_queue = 1"
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
