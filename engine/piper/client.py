"""The client of Piper's HTTP server: OpenAI's speech, sentence by sentence."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import orjson

from engine.base import EngineClient
from engine.piper.answer import SpeechAnswer, Spoken
from engine.piper.asked import asked_of
from engine.sound.encoding import Encoder
from engine.sound.tools import ENCODED, tool
from models.requests.endpoints import SPEECH
from utils.errors import BadRequest, EngineRefused
from utils.tasks import TaskOwner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.upstream import UpstreamResponse
    from models.requests.reader import Upload
    from models.spec import VariantSpec

_OK = 200
# The server has no health check; this page is answered at once, also while it speaks.
_READY = "/info"
_SYNTHESIZE = "/synthesize"
# They would fetch voices from the network.
_FETCHING = ("/download", "/all-voices")
_SAMPLE = 2


class Speaks(Protocol):
    """Knows the voices of a model, and their samples a second; 0 if these are not known."""

    @property
    def rate(self) -> int:
        """The samples a second."""

    def options(self, voice: str, speed: float) -> dict[str, object]:
        """Return the fields that make the server speak so; BadRequest for an unknown voice."""
        ...


class PiperEngine(EngineClient):
    """A running server of Piper, or one with its interface.

    It answers a text with a whole WAV file, so each sentence is a request of its own: the client
    hears the first one while the others are made.
    """

    def __init__(self, variant: VariantSpec, url: str, voices: Speaks) -> None:
        super().__init__(url, probe_timeout=variant.timeouts.health_check, headers={})
        self._voices = voices
        self._tasks = TaskOwner("speech")

    async def healthy(self) -> bool:
        """Return whether ``GET /info`` answers 200."""
        return await self._probe(_READY) == _OK

    def refusal(self, method: str, path: str) -> str | None:  # noqa: ARG002 - the interface
        """Return why a client may not fetch voices; None for other paths."""
        if urlsplit(path).path in _FETCHING:
            return "The gateway fetches no voices by an engine: name the file of another voice."
        return None

    async def forward(
        self, path: str, headers: Mapping[str, str], body: bytes | Upload, method: str = "POST"
    ) -> UpstreamResponse:
        """Return speech that has begun; raise BadRequest for what the voice cannot do."""
        if not isinstance(body, bytes) or urlsplit(path).path not in SPEECH.paths:
            return await super().forward(path, headers, body, method)
        self._opening += 1
        try:
            known = tool()
            asked = asked_of(_decoded(body), ENCODED if known else ())
            options = self._voices.options(asked.voice, asked.speed)

            async def speak(text: str) -> Spoken:
                return await self._spoken({**options, "text": text})

            rate, encoder = self._voices.rate, None
            encodes = known is not None and asked.format in ENCODED
            try:
                # It takes as long to start as the engine takes for a sentence, so both begin now.
                if known is not None and encodes and rate:
                    encoder = await Encoder.started(known.encode(asked.format, rate))
                first = await speak(asked.pieces[0])
                if known is not None and encodes and encoder is None:
                    rate = first.rate
                    encoder = await Encoder.started(known.encode(asked.format, rate))
            except BaseException:
                if encoder is not None:
                    encoder.kill()
                raise
            rate = 0 if encoder is None else rate
            answer = SpeechAnswer(asked, first, speak, self._tasks, encoder, rate)
            return await self._begin(answer, method)
        finally:
            self._opening -= 1

    async def _spoken(self, request: dict[str, object]) -> Spoken:
        """Return what the server says; raise EngineUnreachable or EngineRefused."""
        headers = {"Content-Type": "application/json"}
        answer = await self._request(_SYNTHESIZE, headers, orjson.dumps(request), "POST")
        body = await answer.body()
        if answer.status != _OK:
            raise EngineRefused(f"The engine failed to speak: it answered {answer.status}.")
        return _samples(body)

    async def close(self) -> None:
        """Close every connection, and end what is encoded."""
        await super().close()
        await self._tasks.cancel()


def _decoded(body: bytes) -> dict[str, object]:
    try:
        request = orjson.loads(body)
    except ValueError as error:
        raise BadRequest("The body is not valid JSON.") from error
    if not isinstance(request, dict):
        raise BadRequest("The body must be a JSON object.")
    return request


def _samples(file: bytes) -> Spoken:
    try:
        with wave.open(io.BytesIO(file)) as sound:
            if (sound.getnchannels(), sound.getsampwidth()) != (1, _SAMPLE):
                raise EngineRefused(
                    "The engine speaks in another form than 16 bits and one channel."
                )
            return Spoken(sound.getframerate(), sound.readframes(sound.getnframes()))
    except (wave.Error, EOFError) as error:
        raise EngineRefused("The engine answered without a WAV file.") from error
