"""Speech as an answer that begins when its first sentence is spoken."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, NamedTuple

from engine.piper.asked import PCM_RATE
from engine.sound.resample import resampled
from engine.sound.wav import wav_head
from utils.errors import GatewayError
from utils.sse import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from engine.piper.asked import Asked
    from engine.sound.encoding import Encoder
    from utils.tasks import TaskOwner

_OK = 200
# A sentence is sent in pieces of this size, as one event each.
_PIECE = 48 * 1024
_DONE = Event.of(
    {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
    }
).raw


class Spoken(NamedTuple):
    """Mono samples of 16 bits."""

    rate: int
    samples: bytes


class SpeechAnswer:
    """An ``Answer`` whose first sentence is ``first``; ``speak`` makes the others.

    With an ``encoder`` a task of ``tasks`` feeds it, and ends with the answer. ``rate`` are the
    samples a second of what is sent; 0 for those of ``first``.
    """

    def __init__(
        self,
        asked: Asked,
        first: Spoken,
        speak: Callable[[str], Awaitable[Spoken]],
        tasks: TaskOwner,
        encoder: Encoder | None = None,
        rate: int = 0,
    ) -> None:
        self.status = _OK
        self.headers: Mapping[str, str] = {"Content-Type": asked.content_type}
        self.ended = False
        self._asked = asked
        self._speak = speak
        self._encoder = encoder
        self._left = list(asked.pieces[1:])
        # What can be sent at once: the head of a file, and the first sentence.
        self._ready = b""
        self._fault: ConnectionError | None = None
        self._feeder = None
        self._next: Spoken | None = first
        self._rate = rate or first.rate
        if encoder is not None:
            self._feeder = tasks.spawn(self._feed(encoder, first), "encode")
        elif asked.format == "wav":
            self._ready = wav_head(self._rate)

    async def read(self) -> bytes:
        """Return the next sound, b"" at the end; ConnectionError if the engine has ended."""
        if self.ended:
            return b""
        piece = await (self._plain() if self._encoder is None else self._encoded(self._encoder))
        if not self._asked.events:
            self.ended = not piece
            return piece
        if not piece:
            self.ended = True
            return _DONE
        sound = base64.b64encode(piece).decode()
        return Event.of({"type": "speech.audio.delta", "audio": sound}).raw

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Give the sound to ``take`` as it is made."""
        while piece := await self.read():
            if not take(piece):
                return False
        return True

    def fail(self, error: Exception) -> None:
        """Do nothing: the request for the next sentence fails by itself."""

    def close(self) -> None:
        """End the encoder and its feeder."""
        if self._feeder is not None:
            self._feeder.cancel()
        if self._encoder is not None:
            self._encoder.kill()

    async def _plain(self) -> bytes:
        while not self._ready or self._next is not None:
            spoken, self._next = self._next, None
            if spoken is None:
                if not self._left:
                    break
                spoken = await self._made(self._left.pop(0))
            if self._asked.format == "pcm":
                made = await asyncio.to_thread(resampled, spoken.samples, spoken.rate, PCM_RATE)
            else:
                made = resampled(spoken.samples, spoken.rate, self._rate)
            self._ready += made
        piece, self._ready = self._ready[:_PIECE], self._ready[_PIECE:]
        return piece

    async def _encoded(self, encoder: Encoder) -> bytes:
        try:
            return await encoder.read()
        except ConnectionError as error:
            raise self._fault or error from None

    async def _feed(self, encoder: Encoder, first: Spoken) -> None:
        """Feed the encoder to the end; whatever fails ends it, so that its reader wakes up."""
        try:
            await encoder.feed(resampled(first.samples, first.rate, self._rate))
            while self._left:
                spoken = await self._made(self._left.pop(0))
                await encoder.feed(resampled(spoken.samples, spoken.rate, self._rate))
            encoder.finish()
        except ConnectionError as error:
            self._fault = error
            encoder.kill()
        except BaseException:
            encoder.kill()
            raise

    async def _made(self, text: str) -> Spoken:
        try:
            return await self._speak(text)
        except GatewayError as error:
            raise ConnectionError(error.message) from error
