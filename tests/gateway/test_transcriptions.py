"""Sound files reach an engine unchanged, stay out of memory, and leave nothing on disk."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
import pytest
from gateway import Gateway, fake_model, fake_variant, open_files, running_gateway, until
from raw_client import PATIENCE

from engine.sound.wav import wav_head
from models.spec import ModelSpec, TokenizationSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fake_engine import Journal
    from gateway_client import Answer

PATH = "/v1/audio/transcriptions"
LARGE = os.urandom(3 * 1024 * 1024)
TEMPORARY = str(Path(tempfile.gettempdir()).resolve())


def hearing(journal: Journal, *contexts: int, **fields: Any) -> ModelSpec:
    knobs = fields.pop("knobs", {})
    fields.setdefault("tokenization", TokenizationSpec(default_max_tokens=16))
    fields.setdefault("capabilities", frozenset({"audio"}))
    variants = [fake_variant(journal, context, **knobs) for context in contexts or (8192,)]
    return fake_model(*variants, **fields)


def form(sound: bytes = b"sound", *, last: bool = False, **texts: str) -> aiohttp.FormData:
    """Return a form with these fields and a file, which comes first if ``last``."""
    data = aiohttp.FormData()
    for kind in ("texts", "file")[:: -1 if last else 1]:
        if kind == "file":
            data.add_field("file", io.BytesIO(sound), filename="a b.wav", content_type="audio/wav")
            continue
        for name, text in texts.items():
            data.add_field(name, text)
    return data


async def heard(gw: Gateway, data: aiohttp.FormData, sound: bytes, path: str = PATH) -> Any:
    """Check that the engine got ``sound``; return what it says of it."""
    answer = await gw.request("POST", path, data=data)
    assert answer.status == 200, answer.body
    assert answer.json["text"] == hashlib.sha256(sound).hexdigest()
    assert answer.json["bytes"] == len(sound)
    return answer.json


def held() -> set[str]:
    """Return the nameless temporary files that this process holds open."""
    return {file for file in open_files() if file.startswith(TEMPORARY) and "deleted" in file}


BEFORE: set[str] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """pytest itself has some."""
    BEFORE.clear()
    BEFORE.update(held())


def temporaries() -> set[str]:
    """Return the temporary files of this test."""
    return held() - BEFORE


@pytest.mark.parametrize("last", [False, True])
async def test_a_form_arrives_as_it_was_sent(journal: Journal, *, last: bool) -> None:
    async with running_gateway(journal, hearing(journal)) as gw:
        for path in (PATH, "/audio/transcriptions", f"/upstream/m{PATH}"):
            data = form(LARGE, last=last, model="m", prompt="Wörter", language="de")
            told = await heard(gw, data, LARGE, path)
            assert told["fields"] == {"model": ["m"], "prompt": ["Wörter"], "language": ["de"]}
            texts = ["model", "prompt", "language"]
            assert told["order"] == (["file", *texts] if last else [*texts, "file"]), path
            await until(lambda: not temporaries())


async def test_the_file_may_hold_anything(journal: Journal) -> None:
    async with running_gateway(journal, hearing(journal)) as gw:
        for sound in (b"", b"\r\n", b"\r\n--", b"--\r\n\r\n" * 9000, b"\r\n--a--\r\n"):
            await heard(gw, form(sound), sound)


async def test_a_stream(journal: Journal) -> None:
    async with running_gateway(journal, hearing(journal)) as gw:
        answer = await gw.request("POST", PATH, data=form(LARGE, stream="true"))
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Gateway-Variant"] == "m@8192"
        events = [json.loads(line[6:]) for line in answer.body.decode().split("\n\n") if line]
        assert [event["type"] for event in events] == [
            "transcript.text.delta",
            "transcript.text.done",
        ]
        assert events[0]["delta"] == hashlib.sha256(LARGE).hexdigest()


async def test_what_is_configured_reaches_the_form(journal: Journal) -> None:
    model = hearing(
        journal,
        set_params={"temperature": 0.5, "top_k": 40, "language": "en", "stream": False},
        strip_params=("prompt",),
        upstream_model="inner",
        aliases=("ear",),
        alias_params={"ear": {"response_format": "json"}},
    )
    async with running_gateway(journal, model) as gw:
        data = form(b"x", model="ear", prompt="dropped", language="de", keep_alive="60")
        told = await heard(gw, data, b"x")
        assert told["fields"] == {
            "model": ["inner"],
            "temperature": ["0.5"],
            "language": ["en"],
            "stream": ["false"],
            "response_format": ["json"],
        }


def flac_head(rate: int, samples: int) -> bytes:
    numbers = (rate << 44 | 15 << 36 | samples).to_bytes(8, "big")
    return b"fLaC\x80\0\0\x22" + bytes(10) + numbers + bytes(16)


def ogg(samples: int) -> bytes:
    """Return pages of Opus whose last one ends after so many samples at 48 kHz."""
    pages = [(0, b"OpusHead" + bytes(11)), (0, b"OpusTags"), (960, b"a"), (samples, b"b")]
    return b"".join(
        b"OggS\0\0" + time.to_bytes(8, "little") + bytes(12) + bytes([1, len(content)]) + content
        for time, content in pages
    )


async def test_a_sound_is_limited_and_counted_in_seconds(journal: Journal) -> None:
    model = hearing(journal, max_seconds=2.0)
    second, long = (wav_head(16000, 32000 * n) + bytes(32000 * n) for n in (1, 3))
    async with running_gateway(journal, model) as gw:
        for sound in (long, flac_head(16000, 48000), ogg(144000)):
            refused = await gw.request("POST", PATH, data=form(sound))
            assert refused.status == 400
            error = refused.json["error"]
            assert error["param"] == "file"
            assert "3.0 seconds; 'm' takes at most 2 (max_seconds)" in error["message"]
        assert gw.starts() == []
        await heard(gw, form(second), second)
        page = (await gw.request("GET", "/metrics")).body.decode()
        assert 'sound_seconds_total{model="m",variant="m@8192"} 1.0' in page


async def test_fields_of_the_same_name(journal: Journal) -> None:
    async with running_gateway(journal, hearing(journal)) as gw:
        data = form(b"x")
        data.add_field("timestamp_granularities[]", "word")
        data.add_field("timestamp_granularities[]", "segment")
        told = await heard(gw, data, b"x")
        assert told["fields"] == {"timestamp_granularities[]": ["word", "segment"]}


async def test_an_engine_that_dies_is_sent_the_file_again(journal: Journal) -> None:
    model = hearing(journal, knobs={"die_at": "request", "times": 1})
    async with running_gateway(journal, model) as gw:
        await heard(gw, form(LARGE), LARGE)
        assert len(gw.starts()) == 2
        await until(lambda: not temporaries())


async def test_a_sound_that_is_too_long_moves_to_the_larger_variant(journal: Journal) -> None:
    sizes = TokenizationSpec(default_max_tokens=16, extra_tokens_per_audio=100)
    async with running_gateway(journal, hearing(journal, 1024, 8192, tokenization=sizes)) as gw:
        await heard(gw, form(LARGE), LARGE)
        assert gw.starts() == [1024, 8192]


async def test_a_sound_is_taken_for_as_much_as_is_configured(journal: Journal) -> None:
    sizes = TokenizationSpec(default_max_tokens=16, extra_tokens_per_audio=2000)
    async with running_gateway(journal, hearing(journal, 1024, 8192, tokenization=sizes)) as gw:
        await heard(gw, form(), b"sound")
        assert gw.starts() == [8192]


async def test_a_model_that_cannot_hear(journal: Journal) -> None:
    async with running_gateway(journal, fake_model(fake_variant(journal))) as gw:
        answer = await gw.request("POST", PATH, data=form(LARGE))
        assert "audio" in answer.error(400, "capability_missing")["message"]
        assert gw.starts() == []
        await until(lambda: not temporaries())


@pytest.mark.parametrize(
    ("texts", "param"),
    [
        ({"stream": "perhaps"}, "stream"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"model": "none"}, "model"),
        ({"language": "x" * 600_000, "prompt": "x" * 600_000}, "prompt"),
        ({"keep_alive": "soon"}, "keep_alive"),
    ],
)
async def test_fields_at_fault(journal: Journal, texts: dict[str, str], param: str) -> None:
    async with running_gateway(journal, hearing(journal)) as gw:
        answer = await gw.request("POST", PATH, data=form(LARGE, last=True, **texts))
        assert answer.status in {400, 404}
        assert answer.json["error"]["param"] == param
        await until(lambda: not temporaries())
        assert gw.starts() == []


HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no boundary in it"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", HEAD + b"sound that does not end"),
        ("multipart/form-data; boundary=b", HEAD + b"sound\r\n--b"),
        ("multipart/form-data; boundary=b", HEAD.replace(b"; filename", b"; no") + b"\r\n--b--"),
        ("multipart/form-data; boundary=b", b"--b\r\nno header\r\n\r\nx\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n",
        ),
        ("multipart/form-data; boundary=b", (HEAD + b"x\r\n") * 130 + b"--b--\r\n"),
    ],
)
async def test_forms_at_fault(journal: Journal, kind: str, body: bytes) -> None:
    async with running_gateway(journal, hearing(journal)) as gw:
        answer = await gw.request("POST", PATH, data=body, headers={"Content-Type": kind})
        answer.error(400, "invalid_request")
        assert gw.starts() == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_more_than_is_allowed(journal: Journal, *, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield HEAD
        for _ in range(64):
            yield bytes(65536)
        yield b"\r\n--b--\r\n"

    async with running_gateway(journal, hearing(journal), max_request_bytes=2_000_000) as gw:
        if chunked:
            kind = {"Content-Type": "multipart/form-data; boundary=b"}
            answer = await refused(gw, data=pieces(), headers=kind)
        else:
            answer = await refused(gw, data=form(LARGE))
        if answer is not None:
            answer.error(413, "request_too_large")
        await until(lambda: not temporaries())
        assert gw.starts() == []


async def refused(gw: Gateway, **more: Any) -> Answer | None:
    """Return the answer, or None if the gateway closed the connection while the client sent."""
    try:
        return await gw.request("POST", PATH, **more)
    except aiohttp.ClientConnectionError:
        return None


def headers(size: int) -> bytes:
    kind = "multipart/form-data; boundary=b"
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


async def test_a_client_that_stops_sending(journal: Journal) -> None:
    async with running_gateway(journal, hearing(journal), client_timeout=0.2) as gw:
        client = await gw.connect()
        await client.send(headers(9_000_000) + HEAD + LARGE)
        async with asyncio.timeout(PATIENCE):
            head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        await until(lambda: not temporaries())


async def test_a_client_that_leaves_while_it_sends(journal: Journal) -> None:
    async with running_gateway(journal, hearing(journal)) as gw:
        client = await gw.connect()
        await client.send(headers(9_000_000) + HEAD + LARGE)
        await until(temporaries)
        client.leave()
        await until(lambda: not temporaries())


async def test_a_client_that_leaves_while_it_waits(journal: Journal) -> None:
    async with running_gateway(journal, hearing(journal, knobs={"load_seconds": 30})) as gw:
        client = await gw.connect()
        body = HEAD + LARGE + b"\r\n--b--\r\n"
        await client.send(headers(len(body)) + body)
        await gw.until_waiting(1)
        assert temporaries()
        client.leave()
        await until(lambda: not temporaries())


async def test_a_full_disk(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        closed = False

        def write(self, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", lambda **_more: Full())
    async with running_gateway(journal, hearing(journal)) as gw:
        answer = await gw.request("POST", PATH, data=form(LARGE))
        message = answer.error(507, "insufficient_storage")["message"]
        assert "No space left on device" in message


async def test_memory_does_not_grow_with_the_file(journal: Journal) -> None:
    size = 32 * 1024 * 1024
    process, peak = psutil.Process(), [0]

    async def pieces() -> AsyncIterator[bytes]:
        yield HEAD
        piece = bytes(65536)
        for index in range(size // len(piece)):
            yield piece
            if index % 32 == 0:
                peak[0] = max(peak[0], process.memory_info().rss)
        yield b"\r\n--b--\r\n"

    async with running_gateway(journal, hearing(journal, 1 << 20)) as gw:
        await heard(gw, form(), b"sound")
        before = process.memory_info().rss
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await gw.request("POST", PATH, data=pieces(), headers=kind)
        assert answer.json["bytes"] == size
        after = process.memory_info().rss
        assert max(after, peak[0]) - before < size // 2


async def test_an_upload_outlives_the_client_of_a_stream_that_goes_on(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.access")
    before = held()
    model = hearing(journal, knobs={"stall_at": "request", "times": 1, "resumable": True})
    async with running_gateway(journal, model) as gw:
        headers = {"X-Conversation-Id": "c"}
        data = form(LARGE, stream="true")
        asked = asyncio.create_task(gw.request("POST", PATH, data=data, headers=headers))
        [first] = await journal.wait("request", path=PATH)
        asked.cancel()
        await until(lambda: any(PATH in message for message in caplog.messages))
        await journal.wait("fault")
        # The engine dies before it answers, and another one is asked in its place.
        os.kill(first["pid"], signal.SIGKILL)
        await journal.wait("request", 2, path=PATH)
        await journal.wait("finished")
        again = journal.events("request", path=PATH)[1]
        assert (again["bytes"], again["sha256"]) == (first["bytes"], first["sha256"])
        await until(lambda: held() == before)
