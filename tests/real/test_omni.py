"""A picture and a sound in one request, to a tiny model with a projector for both."""

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib
from typing import TYPE_CHECKING, Any

import openai
import pytest
from later import Later
from pydantic import SecretStr
from real_engines import ENGINES, ONE, Gateway, gateway, lua_config, lua_model
from tiny_projector import write_projector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import langchain_openai
    from langchain_core import messages
else:
    langchain_openai = Later("langchain_openai")
    messages = Later("langchain_core.messages")


def picture() -> str:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress(b"".join(b"\0" + bytes([row, 0, 255 - row]) * 64 for row in range(64)))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(bytes(range(250)) * 128)
    return file.getvalue()


IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}}
SOUND = {
    "type": "input_audio",
    "input_audio": {"data": base64.b64encode(sound()).decode(), "format": "wav"},
}


@pytest.fixture(scope="module", params=ONE)
def served(
    request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("omni")
    projector = str(write_projector(folder / "mmproj.gguf"))
    binary = ENGINES[request.param]
    omni = lua_model("omni", binary, (2048,), args=("--mmproj", projector), file=tiny)
    blind = lua_model("blind", binary, (512,), file=tiny)
    with gateway(folder, lua_config(folder, f"{omni}, {blind}")) as running:
        yield running


@pytest.fixture
def api(served: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as asking:
        yield asking


def asked(api: openai.OpenAI, *parts: dict[str, Any], **more: Any) -> Any:
    content: Any = [{"type": "text", "text": "What is this?"}, *parts]
    options: Any = {"model": "omni", "max_tokens": 4, **more}
    return api.chat.completions.create(messages=[{"role": "user", "content": content}], **options)


def test_a_picture_and_a_sound_in_one_request(api: openai.OpenAI) -> None:
    bare = asked(api).usage.prompt_tokens
    seen = asked(api, IMAGE).usage.prompt_tokens - bare
    heard = asked(api, SOUND).usage.prompt_tokens - bare
    both = asked(api, IMAGE, SOUND)
    assert both.choices[0].finish_reason == "length"
    assert min(seen, heard) > 3
    assert abs(both.usage.prompt_tokens - bare - seen - heard) < 5


def test_it_goes_to_the_model_that_can_do_it(api: openai.OpenAI) -> None:
    models = {model.id: model.model_dump() for model in api.models.list()}
    assert models["omni"]["type"] == "omni"
    with pytest.raises(openai.BadRequestError, match="not configured for vision"):
        asked(api, IMAGE, model="blind")
    chunks = list(asked(api, IMAGE, SOUND, model="auto", stream=True))
    assert len(chunks) > 3


def test_a_sound_is_transcribed_by_the_same_model(api: openai.OpenAI) -> None:
    answer = api.audio.transcriptions.create(model="omni", file=("a.wav", sound()))
    assert isinstance(answer.text, str)


def test_langchains_parts_of_a_message(served: Gateway, api: openai.OpenAI) -> None:
    bare = asked(api).usage.prompt_tokens
    parts: list[Any] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "base64": picture(), "mime_type": "image/png"},
        {"type": "audio", "base64": base64.b64encode(sound()).decode(), "mime_type": "audio/wav"},
    ]
    with openai.DefaultHttpxClient() as http:
        chat = langchain_openai.ChatOpenAI(
            base_url=f"{served.url}/v1",
            api_key=SecretStr("none"),
            model="omni",
            max_completion_tokens=4,
            http_client=http,
        )
        answer = chat.invoke([messages.HumanMessage(content=parts)])
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["input_tokens"] > bare + 6
