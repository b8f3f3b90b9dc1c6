"""What the fakes use of os, json, signal, socket and threading, from the C modules below those.

Tests start more than a thousand fakes. The modules of the library import re, enum, selectors and
more: they would make a start three times as dear.
"""

from __future__ import annotations

import _json
import _socket
import _thread
import io

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the cost of importing typing
    from typing import Any, BinaryIO

# typeshed does not know them all.
posix = __import__("posix")
signal = __import__("_signal")
start_thread = _thread.start_new_thread
Lock = _thread.allocate_lock


environ = {
    name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
    for name, value in posix.environ.items()
}


def exists(path: str) -> bool:
    """Return whether there is such a file."""
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


class _Rules:
    """How JSON is read: as ``json.loads`` does by default."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def _unknown(value: object) -> object:
    raise TypeError(f"no JSON: {value!r}")


_scan = _json.make_scanner(_Rules)  # type: ignore[arg-type]  # it takes any object with these
_BLANK = " \t\n\r"


def loads(text: str | bytes) -> Any:
    """Return the value of this JSON text in UTF-8; ValueError if it is none."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogatepass")
    text = text.strip(_BLANK)
    try:
        value, end = _scan(text, 0)
    except (StopIteration, SystemError):  # it does not find the library's exception
        value, end = None, -1
    if end == len(text):
        return value
    import json  # noqa: PLC0415 - dear, see above; it tells what is wrong

    return json.loads(text)


def dumps(value: object, *, ensure_ascii: bool = True, compact: bool = False) -> str:
    """Return a value as JSON text, as ``json.dumps`` does; without spaces if it is ``compact``."""
    encoder = _json.encode_basestring_ascii if ensure_ascii else _json.encode_basestring
    separators = (":", ",") if compact else (": ", ", ")
    write = _json.make_encoder(None, _unknown, encoder, None, *separators, False, False, True)
    return "".join(write(value, 0))


class Socket(_socket.socket):
    """A TCP socket."""

    def accept(self) -> Socket:
        """Wait for a connection and return it."""
        descriptor, _ = self._accept()  # type: ignore[attr-defined]  # typeshed does not know it
        return Socket(fileno=descriptor)

    def reader(self) -> BinaryIO:
        """Return a buffered file of what comes; its end is an end of the stream."""
        return io.BufferedReader(_Received(self))


class _Received(io.RawIOBase):
    def __init__(self, sock: Socket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._sock.recv_into(buffer)


def listener(host: str, port: int) -> Socket:
    """Return a socket that listens there, or raise OSError."""
    sock = Socket(_socket.AF_INET, _socket.SOCK_STREAM)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(512)
    return sock


def sha256(data: bytes) -> str:
    """Return the digest in hexadecimal; hashlib would load OpenSSL for it."""
    try:
        digest = __import__("_sha2").sha256(data)  # its name since Python 3.12
    except ImportError:
        digest = __import__("_sha256").sha256(data)
    return str(digest.hexdigest())
