"""Open WebUI's backend, whose two connections, Ollama's and OpenAI's, are the gateway."""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_client import (
    CALLER,
    ENDLESS,
    FUNCTION,
    GATEWAY,
    HELLO,
    MODEL,
    OPENAI,
    PATIENCE,
    QUESTION,
    SCHEMA,
    STORY,
    TOO_LONG,
    TOOL,
    UNKNOWN,
    check,
    is_city,
    main,
    too_long,
    unknown,
    until_idle,
    wait_until,
)

if TYPE_CHECKING:
    from http.client import HTTPResponse

HOME = Path(os.environ["HOME"])
DATA = HOME / "data"
LOG = HOME / "backend.log"
[INSTALLED] = importlib.util.find_spec("open_webui").submodule_search_locations
SETTINGS = {
    "OLLAMA_BASE_URL": GATEWAY,
    "OPENAI_API_BASE_URL": OPENAI,
    "OPENAI_API_KEY": "none",
    "DATA_DIR": str(DATA),
    # The installed pages, of which the backend needs a few files for its start.
    "FRONTEND_BUILD_DIR": str(Path(INSTALLED) / "frontend"),
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "for-tests",
    # The test has no network but the gateway; embeddings by OpenAI's API load no model of its own.
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "ENABLE_VERSION_UPDATE_CHECK": "False",
    "RAG_EMBEDDING_ENGINE": "openai",
}
# Each model has this name in Ollama's list, and its own in OpenAI's.
BOTH = (f"{MODEL}:latest", MODEL)
# It computes for ten seconds before it answers; on a busy machine that takes many more.
START = 240.0
CHAT, OLLAMA_CHAT = "/api/chat/completions", "/ollama/api/chat"


class RefusedError(Exception):
    """The backend's answer is an error, which it tells its page as it was told."""


def _started() -> str:
    """Start the backend; return its address."""
    port = os.environ["ZOO_PORT"]
    # As ``python -m uvicorn``, but it looks less for garbage: a seventh of its start.
    program = "import gc, uvicorn; gc.set_threshold(100_000); uvicorn.main()"
    words = ("-c", program, "open_webui.main:app", "--host", "127.0.0.1", "--port", port)
    DATA.mkdir()
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            env={**os.environ, **SETTINGS},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    atexit.register(process.wait)
    atexit.register(process.terminate)

    def answers() -> bool:
        assert process.poll() is None, LOG.read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=PATIENCE):
                return True
        except OSError:
            return False

    wait_until(answers, "the backend does not start", 0.1, START)
    return f"http://127.0.0.1:{port}"


def opened(path: str, body: object = None) -> HTTPResponse:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BACKEND + path, data, headers)
    try:
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        raise RefusedError(error.read().decode()) from None
    return answer


def asked(path: str, body: object = None) -> Any:
    with opened(path, body) as answer:
        return json.load(answer)


def events(path: str, body: object) -> list[Any]:
    """Return the parts of a stream, of lines or of events."""
    with opened(path, body) as answer:
        lines = [line.decode().removeprefix("data: ").strip() for line in answer]
    return [json.loads(line) for line in lines if line.startswith("{")]


def chat(model: str, messages: object = HELLO, **more: object) -> dict[str, object]:
    return {"model": model, "messages": messages, "stream": False, **more}


BACKEND, TOKEN = _started(), ""
# Without accounts of its own it signs everybody in.
TOKEN = asked("/api/v1/auths/signin", {"email": "", "password": ""})["token"]


@check("list")
def listed() -> None:
    names = {each["model"] for each in asked("/ollama/api/tags")["models"]}
    assert BOTH[0] in names, names
    owners = {each["id"]: each["owned_by"] for each in asked("/api/models")["data"]}
    assert [owners[name] for name in BOTH] == ["ollama", "openai"], owners
    assert asked("/ollama/api/version")["version"]


@check("whole")
def whole() -> None:
    for model in BOTH:
        [choice] = asked(CHAT, chat(model, max_tokens=8))["choices"]
        assert choice["message"]["content"], choice
    loaded = [each["model"] for each in asked("/ollama/api/ps")["models"]]
    assert BOTH[0] in loaded, loaded
    [vector] = asked("/ollama/api/embed", {"model": "embed:latest", "input": "Hello"})["embeddings"]
    assert len(vector) > 16


@check("stream")
def stream() -> None:
    for model in BOTH:
        parts = events(CHAT, chat(model, stream=True, max_tokens=8))
        choices = [choice for part in parts for choice in part["choices"]]
        assert "".join(choice["delta"].get("content") or "" for choice in choices), parts
        assert choices[-1]["finish_reason"] in {"stop", "length"}
    *said, last = events(OLLAMA_CHAT, chat(BOTH[0], stream=True))
    assert "".join(part["message"]["content"] for part in (*said, last))
    assert last["done"]


@check("tools")
def tools() -> None:
    for model in (f"{CALLER}:latest", CALLER):
        [choice] = asked(CHAT, chat(model, QUESTION, tools=[TOOL], max_tokens=96))["choices"]
        [call] = choice["message"]["tool_calls"]
        assert call["function"]["name"] == FUNCTION["name"]
        is_city(call["function"]["arguments"])


@check("structured")
def structured() -> None:
    answer = asked(OLLAMA_CHAT, chat(f"{CALLER}:latest", QUESTION, format=SCHEMA))
    is_city(answer["message"]["content"])
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
    [choice] = asked(CHAT, chat(CALLER, QUESTION, response_format=wanted))["choices"]
    is_city(choice["message"]["content"])


@check("too long")
def long() -> None:
    for model in BOTH:
        for streams in (False, True):
            with too_long(RefusedError):
                asked(CHAT, chat(model, TOO_LONG, stream=streams))


@check("unknown model")
def strange() -> None:
    # It answers no chat with a model that is not in its list, so the gateway is asked about it.
    with unknown(RefusedError):
        asked("/ollama/api/show", {"model": UNKNOWN})


@check("cancel")
def cancel() -> None:
    for model in (f"{ENDLESS}:latest", ENDLESS):
        story = [{"role": "user", "content": STORY}]
        with opened(CHAT, chat(model, story, stream=True)) as answer:
            assert answer.readline()
        until_idle()


main()
