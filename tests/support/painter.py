"""A server that draws, with the paths of stable-diffusion.cpp's ``sd-server``.

    painter.py --listen-ip IP --listen-port PORT -m MODEL

Each picture has one colour: that of the digest of its prompt, and of the picture that it changes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import struct
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def picture(colour: bytes, side: int) -> bytes:
    """Return a PNG file of ``side`` by ``side`` points."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + colour * side) * side)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class Painter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/images/edits":
            # The form as a whole: what was sent decides the colour.
            found = re.search(rb'name="prompt"\r\n\r\n(.*?)\r\n', body)
            asked = {"prompt": found[1].decode() if found else "", "size": "8x8"}
            asked["prompt"] += str(b"\x89PNG" in body)
        else:
            asked = json.loads(body)
        side = int(str(asked.get("size", "8x8")).partition("x")[0])
        made = picture(hashlib.sha256(asked["prompt"].encode()).digest()[:3], side)
        told = base64.b64encode(made).decode()
        self._answer({"created": 1, "data": [{"b64_json": told}] * int(asked.get("n", 1))})

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen-ip", default="127.0.0.1")
    parser.add_argument("--listen-port", type=int, required=True)
    parser.add_argument("-m")
    options = parser.parse_args()
    ThreadingHTTPServer((options.listen_ip, options.listen_port), Painter).serve_forever()
