"""Speech through the whole gateway: how well it is heard, and what a long sound costs."""

from __future__ import annotations

import http.client
import io
import json
import wave
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import openai
import psutil
import pytest
from real_engines import gateway
from speech import SENTENCES, speech_config, word_errors, words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Windows with a sentence and without one, twice.
MINUTES = 2
MIB = 1024 * 1024
# What follows the samples makes the file as large as twenty minutes, and is not computed with.
MORE = 48 * MIB
BOUNDARY = b"--b\r\n"
HEAD = BOUNDARY + b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
# Only ten seconds of each window are read, and once: the sound comes whole, but costs a third.
FIELDS = {"model": "hears", "audio_ctx": "512", "temperature_inc": "0"}
END = (
    b"".join(
        f'\r\n--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode()
        for name, text in FIELDS.items()
    )
    + b"\r\n--b--\r\n"
)


def spoken(api: openai.OpenAI, text: str) -> bytes:
    return api.audio.speech.create(
        model="speaks", voice="alloy", input=text, response_format="wav"
    ).content


@pytest.mark.timeout(400)
def test_ten_sentences_and_a_large_file(tmp_path: Path) -> None:
    with (
        gateway(tmp_path, speech_config(tmp_path)) as served,
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", timeout=300) as api,
    ):
        # By twos: each request costs the same, until a sound is long.
        pairs = [" ".join(SENTENCES[at : at + 2]) for at in range(0, len(SENTENCES), 2)]
        sounds = [spoken(api, text) for text in pairs]
        errors = sum(
            word_errors(
                text, api.audio.transcriptions.create(model="hears", file=("a.wav", sound)).text
            )
            for text, sound in zip(pairs, sounds, strict=True)
        )
        assert errors <= 0.05 * sum(len(words(text)) for text in SENTENCES)
        told, peak = transcribed(served.url, sounds[0], psutil.Process(served.process.pid))
        assert told["text"].lower().count("kitchen") == MINUTES
        assert told["usage"]["seconds"] == pytest.approx(MINUTES * 60, abs=1)
        assert peak < 30 * MIB


def transcribed(url: str, sentence: bytes, process: psutil.Process) -> tuple[dict[str, Any], int]:
    """Send minutes with a sentence in each; return the answer, and by how much memory grew."""
    before = process.memory_info().rss
    peak = before
    rate, pieces = minutes_of(sentence)
    head = io.BytesIO()
    with wave.open(head, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
    size = MINUTES * 60 * rate * 2
    whole = 36 + size + 8 + MORE
    wav = head.getvalue()
    start = wav[:4] + whole.to_bytes(4, "little") + wav[8:40] + size.to_bytes(4, "little")
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
    connection.putrequest("POST", "/v1/audio/transcriptions")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(len(HEAD) + 8 + whole + len(END)))
    connection.endheaders(HEAD + start)
    for piece in pieces:
        connection.send(piece)
        peak = max(peak, process.memory_info().rss)
    connection.send(END)
    answer = json.load(connection.getresponse())
    peak = max(peak, process.memory_info().rss)
    connection.close()
    return answer, peak - before


def minutes_of(sentence: bytes) -> tuple[int, Iterable[bytes]]:
    """Return the rate, and what follows the head of the file, in pieces."""
    with wave.open(io.BytesIO(sentence)) as file:
        rate = file.getframerate()
        samples = file.readframes(len(sentence))
    minute = samples + bytes(60 * rate * 2 - len(samples))
    more = b"junk" + MORE.to_bytes(4, "little")
    return rate, (
        *(minute[at : at + MIB] for _ in range(MINUTES) for at in range(0, len(minute), MIB)),
        more,
        *[bytes(MIB)] * (MORE // MIB),
    )
