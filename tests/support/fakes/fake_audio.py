"""Transcriptions of the fake llama-server: what came is told back, so that a test can compare."""

from __future__ import annotations

import hashlib
import json
import re

from fake_text import BadBodyError

PATHS = ("/v1/audio/transcriptions", "/audio/transcriptions")
# A sound's tokens are taken from its length.
BYTES_PER_TOKEN = 1000


class Form:
    """A multipart body, taken apart."""

    def __init__(self, content_type: str, body: bytes) -> None:
        found = re.search(r'boundary="?([^";]+)', content_type)
        if found is None:
            raise BadBodyError("no boundary")
        self.fields: dict[str, list[str]] = {}
        self.files: dict[str, bytes] = {}
        self.order: list[str] = []
        mark = b"\r\n--" + found[1].encode()
        pieces = (b"\r\n" + body).split(mark)
        if not pieces[-1].startswith(b"--"):
            raise BadBodyError("the form does not end")
        for piece in pieces[1:-1]:
            head, _, value = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            named = re.search(r'(?<!file)name="([^"]*)"', head.decode())
            name = named[1] if named else ""
            self.order.append(name)
            if b"filename=" in head:
                self.files[name] = value
            else:
                self.fields.setdefault(name, []).append(value.decode())

    def one(self, name: str) -> str:
        """The last value of a text; empty without one."""
        return self.fields.get(name, [""])[-1]


class Transcript:
    """What the fake hears."""

    def __init__(self, form: Form) -> None:
        if "file" not in form.files:
            raise BadBodyError("No input file found for transcription")
        sound = form.files["file"]
        self.stream = form.one("stream") == "true"
        self.tokens = len(sound) // BYTES_PER_TOKEN
        self._text = hashlib.sha256(sound).hexdigest()
        self._heard = {
            "bytes": len(sound),
            "fields": form.fields,
            "order": form.order,
            "usage": {"prompt_tokens": self.tokens, "completion_tokens": 2},
        }

    def refusal(self, n_ctx: int) -> dict[str, object]:
        """What a sound gets that does not fit."""
        detail = {
            "code": 400,
            "message": "request exceeds the available context size",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": self.tokens,
            "n_ctx": n_ctx,
        }
        return {"error": detail}

    def whole(self) -> dict[str, object]:
        """The answer in one piece."""
        return {"type": "transcript.text.done", "text": self._text, **self._heard}

    def events(self) -> list[str]:
        """The answer as a stream."""
        delta = {"type": "transcript.text.delta", "delta": self._text}
        return [f"data: {json.dumps(event)}\n\n" for event in (delta, self.whole())]
