"""The form that whisper-server gets: texts, and one sound file from where it lies."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence


class SoundForm:
    """An ``Upload`` of texts, and of a file with ``size`` bytes that ``file`` yields."""

    def __init__(
        self, texts: Sequence[tuple[str, str]], size: int, file: Callable[[], AsyncIterator[bytes]]
    ) -> None:
        boundary = secrets.token_hex(24)
        self.texts = list(texts)
        self.file_size = size
        self.seconds: float | None = None
        self.file = file
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
            for name, text in texts
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="sound"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = "".join(parts).encode()
        self._end = f"\r\n--{boundary}--\r\n".encode()

    @property
    def size(self) -> int:
        """The length of the whole form in bytes."""
        return len(self._head) + self.file_size + len(self._end)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the form from the first boundary to the last."""
        yield self._head
        async for piece in self.file():
            yield piece
        yield self._end

    def share(self) -> None:
        """Do nothing: the file has an owner."""

    def close(self) -> None:
        """Do nothing: the file has an owner."""
