"""The client of whisper-server: OpenAI's transcriptions and translations, by its own interface."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.base import EngineClient
from engine.sound.decoding import decoded
from engine.sound.kinds import kind_of
from engine.sound.tools import tool
from engine.sound.wav import READ, wav_of
from engine.upstream_made import MadeAnswer
from engine.whisper.asked import asked_of, form_for
from engine.whisper.events import TranscriptEvents
from engine.whisper.form import SoundForm
from engine.whisper.transcript import content_type, transcript_of, written
from models.requests.amount import check_seconds
from models.requests.endpoints import BY_PATH, TRANSCRIPTION, TRANSLATION
from utils.errors import BadRequest, EngineRefused, UnsupportedSound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from engine.upstream import AiohttpAnswer, Answer, UpstreamResponse
    from engine.whisper.asked import Asked
    from models.requests.reader import Upload
    from models.spec import VariantSpec

# Enough for the head of any WAV file that a recorder writes.
_HEAD = 4096
_OK = 200
_BAD_REQUEST = 400
_LINES = "application/x-ndjson"
_LOAD = "/load"


class WhisperEngine(EngineClient):
    """A running whisper-server, which reads files of the kinds ``reads`` itself.

    Its socket is bound once the model is loaded, and ``/health`` answers 200. It would answer 404
    after a ``/load`` that failed, for ever; only the gateway loads models, so that is refused.
    """

    def __init__(self, variant: VariantSpec, url: str, path: str, reads: frozenset[str]) -> None:
        super().__init__(url, probe_timeout=variant.timeouts.health_check, headers={})
        self._model = variant.model
        self._longest = variant.max_seconds
        self._path = path
        self._reads = reads

    async def healthy(self) -> bool:
        """Return whether ``GET /health`` answers 200."""
        return await self._probe("/health") == _OK

    def refusal(self, method: str, path: str) -> str | None:  # noqa: ARG002 - the interface
        """Return why a client may not load another model; None for other paths."""
        if urlsplit(path).path.endswith(_LOAD):
            return "The gateway chooses the model of an engine: configure another one instead."
        return None

    async def forward(
        self, path: str, headers: Mapping[str, str], body: bytes | Upload, method: str = "POST"
    ) -> UpstreamResponse:
        """Send a form to the path for inference; return the answer in the client's format.

        Raises BadRequest or UnsupportedSound for a file that cannot be read.
        """
        endpoint = BY_PATH.get(urlsplit(path).path)
        if isinstance(body, bytes) or endpoint not in (TRANSCRIPTION, TRANSLATION):
            return await super().forward(path, headers, body, method)
        self._opening += 1
        try:
            asked = asked_of(body.texts, translate=endpoint is TRANSLATION)
            async with self._playable(body) as (sound, seconds):
                form = SoundForm(form_for(asked, body.texts, seconds), sound.file_size, sound.file)
                answer = await self._request(self._path, _own(headers, form), form, method)
            return await self._begin(await _translated(answer, asked), method)
        finally:
            self._opening -= 1

    @contextlib.asynccontextmanager
    async def _playable(self, body: Upload) -> AsyncIterator[tuple[Upload, float | None]]:
        """Yield an upload with a file that the engine reads, and its seconds, None if unknown."""
        head = await _beginning(body)
        kind = kind_of(head)
        if not kind:
            raise UnsupportedSound(
                "The file is no sound of a known kind: send WAV, MP3, FLAC, Ogg, WebM, MP4 or AAC.",
                param="file",
            )
        found = wav_of(head, body.file_size) if kind == "wav" else None
        # Even what the engine reads is decoded where it can be: then its length is known, by which
        # a sentence takes a third of the time. And it refuses a FLAC file that tells no length.
        plain = found is not None and found.coding in READ
        if kind in self._reads and (plain or tool() is None):
            yield body, None if found is None else found.seconds
            return
        sound = await decoded(body.file(), kind)
        try:
            body.seconds = sound.seconds
            check_seconds(sound.seconds, self._longest, self._model)
            yield SoundForm((), sound.size, sound.file), sound.seconds
        finally:
            sound.close()


async def _beginning(body: Upload) -> bytes:
    pieces = body.file()
    try:
        async for piece in pieces:
            return piece[:_HEAD]
    finally:
        await pieces.aclose()  # type: ignore[attr-defined]  # an iterator of ours is a generator
    return b""


def _own(headers: Mapping[str, str], form: SoundForm) -> dict[str, str]:
    kept = {
        name: value
        for name, value in headers.items()
        if name.lower() not in ("content-type", "content-length")
    }
    return {**kept, "Content-Type": form.content_type, "Content-Length": str(form.size)}


async def _translated(answer: AiohttpAnswer, asked: Asked) -> Answer:
    if answer.status == _OK and answer.headers.get("Content-Type", "").startswith(_LINES):
        return TranscriptEvents(answer)
    body = await answer.body()
    if answer.status == _BAD_REQUEST:
        # Its body is the words "Invalid request", whatever was wrong.
        raise BadRequest("The engine cannot read the file as a sound.", param="file")
    if answer.status != _OK:
        raise EngineRefused(f"The engine failed to read the sound: it answered {answer.status}.")
    try:
        return MadeAnswer(_OK, content_type(asked), written(transcript_of(body), asked))
    except ValueError as error:
        raise EngineRefused("The engine answered without a transcript.") from error
