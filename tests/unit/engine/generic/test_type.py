"""engine/generic/type.py: how a server is started of which no more is known than its command."""

from __future__ import annotations

import pytest
from builders import variant

from engine.base import Finding
from engine.generic.client import HttpEngine, api_key
from engine.generic.type import Generic, key_findings, of_endpoints
from models.capabilities import NAMES, Capabilities
from utils.errors import CountUnavailable

URL = "http://127.0.0.1:8123"


def test_port_and_model_are_filled_in() -> None:
    spec = variant(
        None,
        "voice",
        binary="/opt/server",
        args=("--port=${PORT}", "--name", "${MODEL}", "$HOME ${OTHER}"),
        env={"LISTEN": "127.0.0.1:${PORT}"},
        stop_signal="SIGINT",
        name="default",
    )
    launch = Generic().launch(spec, URL, {"HOME": "/root"})
    assert launch.argv == ("/opt/server", "--port=8123", "--name", "voice", "$HOME ${OTHER}")
    assert launch.env == {"HOME": "/root", "LISTEN": "127.0.0.1:8123"}
    assert (launch.label, launch.url, launch.stop_signal) == ("voice@default", URL, "SIGINT")
    assert not launch.reads_input


def test_it_listens_where_connect_says_or_where_it_is_told() -> None:
    assert Generic().address(variant(None), None) is None
    assert Generic().address(variant(None), URL) == URL


@pytest.mark.parametrize(
    ("endpoints", "certain", "more"),
    [
        ((), set(), set(NAMES)),
        (("/v1/embeddings",), {"embeddings"}, set()),
        (("/embeddings", "/reranking"), {"embeddings", "rerank"}, set()),
        (("/v1/messages",), {"text"}, {"vision", "audio", "tools"}),
        (("/v1/audio/",), {"audio", "speech"}, set()),
        (("/synthesize",), set(), set()),
    ],
)
def test_what_endpoints_promise(
    endpoints: tuple[str, ...], certain: set[str], more: set[str]
) -> None:
    found = of_endpoints(variant(None, endpoints=endpoints))
    assert found == Capabilities(frozenset(certain), frozenset(certain | more))


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, None),
        ({"api_key": "own"}, "own"),
        ({"api_key_env": "KEY"}, "from-env"),
        ({"api_key_env": "NONE"}, None),
        ({"api_key": "own", "api_key_env": "KEY"}, "own"),
    ],
)
def test_its_key(fields: dict[str, str], key: str | None) -> None:
    assert api_key(variant(None, **fields), {"KEY": "from-env"}) == key


def test_its_key_is_sent_and_never_shown() -> None:
    spec = variant(None, api_key="geheim")
    engine = HttpEngine(spec, URL, None)
    assert engine._headers == {"Authorization": "Bearer geheim"}
    assert "geheim" not in repr(spec)


def test_a_variable_that_is_not_set_is_found() -> None:
    spec = variant(None, api_key_env="KEY")
    assert key_findings(spec, {"KEY": "x"}) == key_findings(variant(None), {}) == []
    assert key_findings(spec, {"KEY": ""}) == [
        Finding("api_key_env", "the variable KEY is not set in the gateway's environment")
    ]


@pytest.mark.parametrize(
    ("endpoints", "asked", "sent"),
    [
        ((), "/v1/embeddings?a=b", "/v1/embeddings?a=b"),
        (("/v1/embeddings",), "/v1/embeddings?a=b", "/v1/embeddings?a=b"),
        (("/v1/embeddings",), "/embedding?a=b", "/v1/embeddings?a=b"),
        (("/v1/",), "/chat/completions", "/v1/chat/completions"),
        (("/other",), "/v1/embeddings", "/v1/embeddings"),
    ],
)
def test_an_endpoint_is_called_by_the_name_that_the_server_knows(
    endpoints: tuple[str, ...], asked: str, sent: str
) -> None:
    engine = HttpEngine(variant(None, endpoints=endpoints), URL, None)
    assert engine._known(asked) == sent


def test_a_version_in_the_url_is_not_doubled() -> None:
    engine = HttpEngine(variant(None), "https://api.example.com/openai/v1", None)
    assert engine.url == "https://api.example.com/openai"


async def test_it_counts_nothing_and_continues_nothing() -> None:
    engine = HttpEngine(variant(None), URL, None)
    assert await engine.healthy(), "nothing is asked without a health path"
    assert not await engine.continues(b"{}", "text")
    assert await engine.streams(b"") == []
    with pytest.raises(CountUnavailable):
        await engine.count(None)  # type: ignore[arg-type]  # it is not looked at
