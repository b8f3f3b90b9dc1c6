"""The HTTP interface of whisper-server, as far as the gateway uses it.

* The socket is bound once the model is loaded; then ``GET /health`` answers 200.
* ``POST`` of a form to the inference path answers ``verbose_json``. If its ``stream`` is true, each
  segment is a line of JSON, and the whole transcript the last one.
* One sound is read at a time. If the client leaves, the reading ends.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Final

from engine.whisper.bundled.sound import samples_of

if TYPE_CHECKING:
    from engine.whisper.bundled.model import Recogniser

_LARGEST: Final = 1 << 30
_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)')
_NAME: Final = re.compile(r'(?<!file)name="([^"]*)"')


def serve(recogniser: Recogniser, host: str, port: int, inference_path: str) -> int:
    """Serve until a signal ends the process."""

    class Handler(_Handler):
        model = recogniser
        path_of_inference = inference_path

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    with Server((host, port), Handler) as server:
        print(f"whisper server listening at {host}:{port}", file=sys.stderr, flush=True)
        server.serve_forever()
    return 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go out together: with Nagle's algorithm, the second would wait for a receipt of
    # the first.
    wbufsize = -1
    disable_nagle_algorithm = True
    model: ClassVar[Recogniser]
    path_of_inference: ClassVar[str]

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == "/health":
            self._json(200, {"status": "ok"})
        else:
            self._json(404, {"error": "File Not Found"})

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > _LARGEST:
            self.close_connection = True
            self._json(413, {"error": "the form is too large"})
            return
        body = self.rfile.read(size)
        if self.path.partition("?")[0] != self.path_of_inference:
            self._json(404, {"error": "File Not Found"})
            return
        try:
            texts, file = _form(self.headers.get("Content-Type", ""), body)
            samples = samples_of(file)
            if texts.get("stream") == "true":
                self._stream(samples, texts)
            elif (heard := self.model.hear(samples, texts, self._left)) is not None:
                self._json(200, heard)
        except ValueError as fault:
            self._json(400, {"error": str(fault)})

    def _stream(self, samples: Any, texts: dict[str, str]) -> None:  # noqa: ANN401 - numpy's array
        begun = False

        def tell(line: Any) -> None:  # noqa: ANN401 - JSON
            nonlocal begun
            if not begun:
                begun = True
                self.send_response(200)
                self.send_header("Content-Type", "application/x-ndjson")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
            data = json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

        heard = self.model.hear(samples, texts, self._left, tell)
        if heard is not None:
            tell(heard)
            self.wfile.write(b"0\r\n\r\n")

    def _left(self) -> bool:
        """Return whether the client has closed the connection."""
        ready, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(ready) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _json(self, status: int, value: Any) -> None:  # noqa: ANN401 - JSON
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Write no line for a request: the gateway has one."""


def _form(content_type: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """Return the texts of a form and its file; raise ValueError if it has none."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise ValueError("the body is no form")
    mark = b"\r\n--" + found[1].encode()
    texts: dict[str, str] = {}
    file: bytes | None = None
    at = 0 if body.startswith(mark[2:]) else body.find(mark) + 2
    while True:
        start = body.find(b"\r\n", at) + 2
        end = body.find(mark, start)
        if start < 2 or end < 0:  # noqa: PLR2004 - the length of a line's end
            break
        head, _, _ = body[start : start + 4096].partition(b"\r\n\r\n")
        named = _NAME.search(head.decode("utf-8", "replace"))
        value = body[start + len(head) + 4 : end]
        if b"filename=" in head:
            file = value if file is None else file
        else:
            texts[named[1] if named else ""] = value.decode("utf-8", "replace")
        at = end + 2
    if file is None:
        raise ValueError("no 'file' field in the request")
    return texts, file
