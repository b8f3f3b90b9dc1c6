"""Transcriptions of the fake llama-server: the answer repeats the request, for tests to compare."""

from __future__ import annotations

import re

from fake_light import dumps, sha256
from fake_text import BadBodyError

# The bytes of a sound that count as one token.
BYTES_PER_TOKEN = 1000


class Form:
    """A decoded multipart body."""

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
        """Return the last value of a text field; empty without one."""
        return self.fields.get(name, [""])[-1]


class Transcript:
    """The fake's transcription of a sound."""

    def __init__(self, form: Form) -> None:
        if "file" not in form.files:
            raise BadBodyError("No input file found for transcription")
        sound = form.files["file"]
        self.stream = form.one("stream") == "true"
        self.tokens = len(sound) // BYTES_PER_TOKEN
        self._text = sha256(sound)
        self._heard = {
            "bytes": len(sound),
            "fields": form.fields,
            "order": form.order,
            "usage": {"prompt_tokens": self.tokens, "completion_tokens": 2},
        }

    def refusal(self, n_ctx: int) -> dict[str, object]:
        """Return the error for a sound that does not fit the context."""
        detail = {
            "code": 400,
            "message": "request exceeds the available context size",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": self.tokens,
            "n_ctx": n_ctx,
        }
        return {"error": detail}

    def whole(self) -> dict[str, object]:
        """Return the answer in one piece."""
        return {"type": "transcript.text.done", "text": self._text, **self._heard}

    def events(self) -> list[str]:
        """Return the answer as the events of a stream."""
        delta = {"type": "transcript.text.delta", "delta": self._text}
        return [f"data: {dumps(event)}\n\n" for event in (delta, self.whole())]
