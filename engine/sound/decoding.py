"""Decode a sound file by a program beside the gateway, from one temporary file into another.

The gateway passes on two open files and waits: no sound goes through its memory, and a fault of a
decoder ends a process that nothing else depends on.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from typing import IO, TYPE_CHECKING

from engine.sound.tools import RATE, environment, tool
from engine.sound.wav import wav_head
from utils.errors import BadRequest, StorageFull, UnsupportedSound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PIECE = 256 * 1024
_SAMPLE = 2
# A fault that a program tells is cut to so many characters.
_TOLD = 200


class DecodedSound:
    """Mono samples at 16 kHz in a temporary file, read as a WAV file; close it."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._head = wav_head(RATE, size)
        self.size = len(self._head) + size
        self.seconds = size / (RATE * _SAMPLE)

    async def file(self) -> AsyncIterator[bytes]:
        """Yield the WAV file in pieces."""
        yield self._head
        await asyncio.to_thread(self._file.seek, 0)
        while piece := await asyncio.to_thread(self._file.read, _PIECE):
            yield piece

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


async def decoded(pieces: AsyncIterator[bytes], kind: str) -> DecodedSound:
    """Return the sound in a file of this kind.

    Raises UnsupportedSound if nothing here decodes it, BadRequest if it is damaged, StorageFull if
    the disk has no room.
    """
    known = tool()
    if known is None:
        raise UnsupportedSound(
            f"The engine reads no sound of the kind {kind}, and nothing here decodes it: install"
            " ffmpeg, or PyAV, which ./init.sh speech does.",
            param="file",
        )
    with contextlib.ExitStack() as files:
        source = files.enter_context(tempfile.TemporaryFile())
        target = tempfile.TemporaryFile()  # noqa: SIM115 - the result owns it
        files.callback(target.close)
        try:
            async for piece in pieces:
                await asyncio.to_thread(source.write, piece)
            await asyncio.to_thread(source.seek, 0)
        except OSError as error:
            raise StorageFull(f"The sound cannot be decoded: {error.strerror}.") from error
        await _run(known.decode(kind), source, target)
        size = await asyncio.to_thread(target.seek, 0, 2)
        if size < _SAMPLE:
            raise BadRequest("The file has no sound.", param="file")
        files.pop_all()
        source.close()
        return DecodedSound(target, size)


async def _run(command: list[str], source: IO[bytes], target: IO[bytes]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=source,
        stdout=target,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        _, said = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        why = lines[-1][:_TOLD] if lines else f"status {process.returncode}"
        raise BadRequest(f"The file cannot be decoded: {why}", param="file")
