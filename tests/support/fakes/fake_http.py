"""HTTP/1.1 as in llama-server's library, over one blocking socket.

One thread serves one connection. It copies the unusual behaviour of the library: every error and
every finished stream closes the connection, although the stream's headers promise keep-alive; a
connection serves 100 requests; a client that closes only its sending half counts as gone.
"""

from __future__ import annotations

import _socket
import select
import time

from fake_light import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the cost of importing typing
    from fake_light import Socket
    from fake_streams import Session

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
MAX_REQUESTS = 100


class ClientGoneError(Exception):
    """The client has closed its connection."""


class Request:
    """One request."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = body


class Connection:
    """A client's connection: reads requests and writes responses."""

    def __init__(self, sock: Socket, idle_seconds: float, cut_bytes: int = 0) -> None:
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._sock = sock
        self._idle_seconds = idle_seconds
        self._cut_bytes = cut_bytes
        self._reader = sock.reader()
        self._served = 0
        self._last_one = False
        self._head_only = False
        self.open = True
        self.streaming = False
        # Keeps the stream of a conversation.
        self.session: Session | None = None

    def close(self) -> None:
        """Any state → closed."""
        self.open = False
        self._reader.close()
        self._sock.close()

    def read(self) -> Request | None:
        """Waiting → the next request, or None if there is none."""
        self._sock.settimeout(self._idle_seconds)
        try:
            line = self._reader.readline(65536)
            self._sock.settimeout(None)
            if not line:
                return None
            return self._parse(line)
        except (OSError, ValueError):
            return None

    def _parse(self, line: bytes) -> Request | None:
        words = line.decode("latin-1").split()
        if len(words) != 3:
            self._sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return None
        headers: dict[str, str] = {}
        while (line := self._reader.readline(65536)) not in {b"\r\n", b"\n", b""}:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if not line:
            return None
        if headers.get("expect", "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(headers)
        if body is None:
            return None
        self._served += 1
        self._last_one = (
            self._served >= MAX_REQUESTS
            or headers.get("connection", "").lower() == "close"
            or words[2] == "HTTP/1.0"
        )
        self._head_only = words[0] == "HEAD"
        return Request(words[0], words[1], headers, body)

    def _body(self, headers: dict[str, str]) -> bytes | None:
        """Headers read → the whole body, or None if it is incomplete."""
        if headers.get("transfer-encoding", "").lower() != "chunked":
            length = int(headers.get("content-length", "0"))
            body = self._reader.read(length)
            return body if len(body) == length else None
        parts: list[bytes] = []
        while size := int(self._reader.readline(1024).partition(b";")[0], 16):
            part = self._reader.read(size)
            if len(part) < size:
                return None
            parts.append(part)
            self._reader.readline(1024)
        self._reader.readline(1024)
        return b"".join(parts)

    def respond(self, status: int, body: bytes, content_type: str = "") -> None:
        """Request read → a whole response sent; an error ends the connection."""
        if status >= 400:
            self._last_one = True
        kind = content_type or "application/json; charset=utf-8"
        head = self._head(status, f"Content-Type: {kind}\r\nContent-Length: {len(body)}")
        self._send(head, b"" if self._head_only else body)
        self.open = not self._last_one

    def respond_json(self, status: int, value: object) -> None:
        """Request read → *value* sent as JSON."""
        text = dumps(value, ensure_ascii=False, compact=True)
        self.respond(status, text.encode("utf-8", "surrogatepass"))

    def start_stream(self) -> None:
        """Request read → the headers of an event stream sent."""
        kind = "X-Accel-Buffering: no\r\nContent-Type: text/event-stream"
        self._send(self._head(200, kind + "\r\nTransfer-Encoding: chunked"))
        self.streaming = True

    def chunk(self, text: str) -> None:
        """Stream started → one more chunk sent, and kept if the stream can be read again."""
        if self.session is not None:
            self.session.text += text
        data = text.encode("utf-8", "surrogatepass")
        size = self._cut_bytes or len(data)
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self._send(b"%x\r\n%s\r\n" % (len(piece), piece))

    def end_stream(self) -> None:
        """Stream started → ended properly, and the connection is to be closed."""
        if self.session is not None:
            self.session.done = True
        self._send(b"0\r\n\r\n")
        self.open = False

    def websocket(self, headers: dict[str, str]) -> str:
        """Upgrade requested → a websocket, until it is closed; return how it ended."""
        # Imported late: few tests need it.
        from fake_websocket import Echo, handshake  # noqa: PLC0415 - see above

        self.open = False
        self._send(handshake(headers))
        try:
            return Echo(self._sock, self._reader).run()
        except OSError:
            return "lost"

    def _head(self, status: int, headers: str) -> bytes:
        keep = f"Keep-Alive: timeout=5, max={MAX_REQUESTS}"
        if self._last_one:
            keep = "Connection: close"
        return (
            f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\nServer: llama.cpp\r\n"
            f"Access-Control-Allow-Origin: \r\n{headers}\r\n{keep}\r\n\r\n"
        ).encode()

    def _send(self, *parts: bytes) -> None:
        try:
            self._sock.sendall(b"".join(parts))
        except OSError as error:
            raise ClientGoneError from error

    def wait(self, seconds: float) -> None:
        """Now → *seconds* later; raise ClientGoneError at once if the client leaves."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLRDHUP)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 or seconds <= 0:
            if not poll.poll(max(left, 0) * 1000):
                return
            try:
                if not self._sock.recv(1, _socket.MSG_PEEK):
                    raise ClientGoneError
            except OSError as error:
                raise ClientGoneError from error
            # A pipelined request is not read here; poll would report it again and again.
            time.sleep(min(max(left, 0), 0.01))
            if seconds <= 0:
                return
