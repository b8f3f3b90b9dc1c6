"""LangChain's ``ChatOpenAI`` and ``OpenAIEmbeddings`` on real engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest
from later import Later
from pydantic import SecretStr
from real_engines import ONE, Gateway
from sdk_gateway import CITIES, CONTEXT, TOOL, sdk_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    import langchain_openai
    from langchain_core import exceptions, messages
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings
else:
    langchain_openai = Later("langchain_openai")
    exceptions = Later("langchain_core.exceptions")
    messages = Later("langchain_core.messages")

KEY = SecretStr("none")


@pytest.fixture(scope="module", params=ONE)
def served(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Gateway]:
    with sdk_gateway(tmp_path_factory.mktemp("langchain"), request.param) as running:
        yield running


@pytest.fixture
def http() -> Iterator[Any]:
    """Connections that end with the test: LangChain's own live as long as the process."""
    with openai.DefaultHttpxClient() as client:
        yield client


def chat(served: Gateway, http: Any, model: str = "smol", **fields: Any) -> ChatOpenAI:
    fields = {"max_tokens": 8, "max_retries": 0, "http_client": http, **fields}
    return langchain_openai.ChatOpenAI(
        base_url=f"{served.url}/v1", api_key=KEY, model=model, **fields
    )


def embedder(served: Gateway, **fields: Any) -> OpenAIEmbeddings:
    # Otherwise it counts tokens by itself, with a table of OpenAI's models that it downloads.
    fields |= {"check_embedding_ctx_length": False}
    return langchain_openai.OpenAIEmbeddings(
        base_url=f"{served.url}/v1", api_key=KEY, model="embed", **fields
    )


def test_invoke(served: Gateway, http: Any) -> None:
    answer = chat(served, http).invoke("Hello")
    assert answer.text
    assert answer.response_metadata["model_name"] == "smol"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


def test_stream(served: Gateway, http: Any) -> None:
    spoken = chat(served, http, stream_usage=True, extra_body={"ignore_eos": True})
    chunks = list(spoken.stream("Hello"))
    assert len([chunk for chunk in chunks if chunk.text]) > 1
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert sum(each["output_tokens"] for each in usage) == 8


def test_a_tool_is_called_and_its_result_answered(served: Gateway, http: Any) -> None:
    caller = chat(served, http, "caller", max_tokens=96).bind_tools([TOOL], tool_choice="required")
    question = messages.HumanMessage("What is the weather in Paris?")
    asked = caller.invoke([question])
    assert isinstance(asked, messages.AIMessage)
    [call] = asked.tool_calls
    assert call["name"] == "weather"
    assert call["args"]["city"] in CITIES
    result = messages.ToolMessage("Sunny.", tool_call_id=call["id"] or "")
    assert chat(served, http).invoke([question, asked, result]).text


def test_the_responses_api(served: Gateway, http: Any) -> None:
    answer = chat(served, http, use_responses_api=True, max_tokens=16).invoke("Hello")
    assert answer.text


def test_embeddings(served: Gateway, http: Any) -> None:
    vectors = embedder(served, http_client=http).embed_documents(["Hello", "world"])
    assert len(vectors) == 2
    assert vectors[0] == pytest.approx(
        embedder(served, http_client=http).embed_query("Hello"), abs=1e-3
    )


def test_errors_are_those_of_the_library_below(served: Gateway, http: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        chat(served, http, "gpt-9").invoke("Hello")
    with pytest.raises(exceptions.ContextOverflowError) as long:
        chat(served, http).invoke("the quick brown fox " * 5000)
    assert str(CONTEXT) in str(long.value)


async def test_async(served: Gateway, http: Any) -> None:
    async with openai.DefaultAsyncHttpxClient() as connections:
        more: Any = {"http_async_client": connections}
        spoken = chat(served, http, extra_body={"ignore_eos": True}, **more)
        assert (await spoken.ainvoke("Hello")).text
        texts = [chunk.text async for chunk in spoken.astream("Hello")]
        assert "".join(texts)
        # One is answered, and one waits.
        for answer in await spoken.abatch(["Hello", "Good day"], {"max_concurrency": 2}):
            assert answer.text
        vector = await embedder(served, http_client=http, **more).aembed_query("Hello")
        assert len(vector) > 16
