"""Streams that are read again, on real engines."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config, lua_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The client leaves after the first of them.
TOKENS = 1000


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny: Path) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("conversations")
    models = lua_model("smol", ENGINES[request.param], (2048,), file=tiny)
    with gateway(folder, lua_config(folder, models)) as running:
        yield running


def begun(served: Gateway, conversation: str) -> tuple[http.client.HTTPConnection, bytes]:
    """A stream of the conversation, and its first bytes."""
    body = {
        "messages": [{"role": "user", "content": "Tell me a story."}],
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "seed": 1,
        "stream": True,
    }
    client = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=120)
    headers = {"X-Conversation-Id": conversation}
    client.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    response = client.getresponse()
    assert response.status == 200
    first = b""
    while b"content" not in first:
        first += response.readline()
    return client, first


def asked(served: Gateway, path: str, method: str = "GET", body: Any = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(served.url + path, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_an_answer_is_complete_although_its_client_left(served: Gateway) -> None:
    client, first = begun(served, "story 1")
    client.close()
    status, whole = asked(served, "/v1/stream?conv_id=story%201")
    assert status == 200
    # Comments kept the client waiting where the engine's start took long.
    assert first[first.index(b"data: ") :] in whole
    assert whole.rstrip().endswith(b"data: [DONE]")
    # The role, the tokens and the end of the answer are events of their own.
    assert whole.count(b'"delta"') >= TOKENS
    assert asked(served, f"/v1/stream?conv_id=story%201&from={len(whole) - 20}")[1] == whole[-20:]
    names = {"conversation_ids": ["story 1", "unknown"]}
    status, found = asked(served, "/v1/streams/lookup", "POST", names)
    [entry] = json.loads(found)
    assert (entry["conversation_id"], entry["is_done"]) == ("story 1", True)
    assert entry["total_bytes"] == len(whole)


def test_an_answer_is_stopped(served: Gateway) -> None:
    client, _ = begun(served, "story 2")
    client.close()
    assert asked(served, "/v1/stream?conv_id=story%202", "DELETE") == (204, b"")
    assert asked(served, "/v1/stream?conv_id=story%202")[0] == 404
    # The slot is free again.
    body = {"prompt": "Once", "max_tokens": 2}
    assert asked(served, "/v1/completions", "POST", body)[0] == 200


def test_a_conversation_that_was_never_begun(served: Gateway) -> None:
    status, answer = asked(served, "/v1/stream?conv_id=none")
    assert status == 404
    assert json.loads(answer)["error"]["code"] == "stream_not_found"
