"""A websocket of the fake llama-server: it repeats each message, and has a few commands."""

from __future__ import annotations

import base64
import hashlib
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the cost of importing typing
    from typing import BinaryIO

    from fake_light import Socket

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def handshake(headers: dict[str, str]) -> bytes:
    """Return the answer that opens the websocket; it chooses the last protocol of the client."""
    digest = hashlib.sha1(headers["sec-websocket-key"].encode() + _MAGIC, usedforsecurity=False)
    accept = base64.b64encode(digest.digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    if offered := headers.get("sec-websocket-protocol"):
        lines.append(f"Sec-WebSocket-Protocol: {offered.split(',')[-1].strip()}")
    return "\r\n".join([*lines, "", ""]).encode()


class Echo:
    """An open websocket."""

    def __init__(self, sock: Socket, reader: BinaryIO) -> None:
        self._sock = sock
        self._reader = reader

    def run(self) -> str:
        """Serve until the client closes the websocket; return how it was closed."""
        while True:
            kind, data = self._message()
            if kind == CLOSE:
                self._send(CLOSE, data)
                code = struct.unpack("!H", data[:2])[0] if data else 1005
                return f"{code} {data[2:].decode()}"
            if kind == PING:
                self._send(PONG, data)
            elif kind != PONG:
                self._answer(kind, data)

    def _answer(self, kind: int, data: bytes) -> None:
        if data == b"die":
            os._exit(7)
        elif data == b"drop":
            self._sock.shutdown(2)
        elif data == b"ping":
            self._send(PING, b"p")
        elif data.startswith(b"close "):
            code, _, reason = data.removeprefix(b"close ").partition(b" ")
            self._send(CLOSE, struct.pack("!H", int(code)) + reason)
        else:
            self._send(kind, data)

    def _message(self) -> tuple[int, bytes]:
        """Return the next message, joined from its frames."""
        kind, whole = 0, b""
        while True:
            head = self._read(2)
            size = head[1] & 127
            if size > 125:
                size = struct.unpack(
                    "!H" if size == 126 else "!Q", self._read(2 if size == 126 else 8)
                )[0]
            mask = self._read(4)
            data = bytearray(self._read(size))
            for index in range(4):
                data[index::4] = bytes(byte ^ mask[index] for byte in data[index::4])
            kind = head[0] & 15 or kind
            whole += data
            if head[0] & 128:
                return kind, whole

    def _read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise OSError("the other side is gone")
        return data

    def _send(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = bytes([128 | kind, size])
        elif size < 65536:
            head = bytes([128 | kind, 126]) + struct.pack("!H", size)
        else:
            head = bytes([128 | kind, 127]) + struct.pack("!Q", size)
        self._sock.sendall(head + data)
