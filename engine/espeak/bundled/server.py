"""The server of espeak-ng: ``python -m engine.espeak.bundled``, with the interface of Piper's.

    python -m engine.espeak.bundled --program espeak-ng --host H --port P [-- ARGUMENTS]

* ``GET /info`` answers 200.
* ``POST /synthesize`` of ``{"text", "voice", "length_scale"}`` answers a WAV file.

Each text is spoken by a process of espeak-ng. Host, port and program come first; everything after
them goes to espeak-ng.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_LARGEST: Final = 1 << 20
_SECONDS: Final = 60.0
# Words a minute, and what espeak-ng obeys; beyond these it speaks as if it were one of them.
_PACE: Final = 175
_SLOWEST, _FASTEST = 80, 700
_DATA: Final = b"data"
_SIZE_AT: Final = 4


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal ends the process; return the exit status."""
    parser = argparse.ArgumentParser(prog="espeak-server", description=__doc__)
    parser.add_argument("--program", default="espeak-ng")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pace", type=int, default=_PACE, help="words a minute at speed 1")
    parser.add_argument("rest", nargs="*")
    options = parser.parse_args(arguments)

    class Handler(_Handler):
        program = (options.program, *options.rest)
        pace = options.pace

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        daemon_threads = True

    with Server((options.host, options.port), Handler) as server:
        print(f"espeak server listening at {options.host}:{options.port}", file=sys.stderr)
        server.serve_forever()
    return 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go out together: with Nagle's algorithm, the second would wait for a receipt of
    # the first.
    wbufsize = -1
    disable_nagle_algorithm = True
    program: ClassVar[tuple[str, ...]]
    pace: ClassVar[int]

    def do_GET(self) -> None:
        found = self.path.partition("?")[0] == "/info"
        self._answer(200 if found else 404, "application/json", b"{}")

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > _LARGEST:
            self.close_connection = True
            self._answer(413, "text/plain", b"the text is too large")
            return
        body = self.rfile.read(size)
        if self.path.partition("?")[0] != "/synthesize":
            self._answer(404, "text/plain", b"not found")
            return
        try:
            sound = _spoken(self.program, self.pace, json.loads(body))
        except (ValueError, KeyError, TypeError, OSError, subprocess.SubprocessError) as fault:
            print(f"error: {fault}", file=sys.stderr, flush=True)
            self._answer(500, "text/plain", str(fault).encode())
        else:
            self._answer(200, "audio/wav", sound)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Write no line for a request: the gateway has one."""


def _spoken(command: Sequence[str], pace: int, request: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return the WAV file of a request's text; ValueError says what is wrong with either."""
    if not isinstance(request, dict):
        raise ValueError("the body is no JSON object")  # noqa: TRY004 - a fault of the request
    words = round(pace / float(request.get("length_scale") or 1))
    options = ["-s", str(min(max(words, _SLOWEST), _FASTEST))]
    if voice := request.get("voice"):
        options += ["-v", str(voice)]
    done = subprocess.run(  # noqa: S603 - the operator's program
        # The text goes by the standard input: in the command line it might be taken for an option.
        [*command, *options, "-b", "1", "--stdin", "--stdout"],
        input=str(request["text"]).encode(),
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip()
        raise ValueError(said or f"espeak-ng ended with status {done.returncode}")
    return _sized(done.stdout)


def _sized(file: bytes) -> bytes:
    """Return the file with its true sizes: espeak-ng does not know them when it writes the head."""
    at = file.index(_DATA) + _SIZE_AT
    sizes = struct.pack("<I", len(file) - 8), struct.pack("<I", len(file) - at - 4)
    return file[:4] + sizes[0] + file[8:at] + sizes[1] + file[at + 4 :]
