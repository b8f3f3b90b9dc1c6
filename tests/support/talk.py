"""Conversations with a gateway of real engines."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

from real_engines import ADMIN

if TYPE_CHECKING:
    from real_engines import Gateway


class Talk:
    """A conversation at temperature 0; ``read``: each turn's prefilled and cached tokens."""

    def __init__(self, served: Gateway, model: str = "smol") -> None:
        self.model = model
        self.messages: list[Any] = []
        self.read: list[tuple[int, int]] = []
        self.served = served

    def say(self, text: str, most: int = 4, **fields: Any) -> str:
        self.messages.append({"role": "user", "content": text})
        body = {"model": self.model, "messages": self.messages, "temperature": 0}
        body |= {"max_tokens": most, "ignore_eos": True, **fields}
        request = urllib.request.Request(
            f"{self.served.url}/v1/chat/completions", json.dumps(body).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        said = answer["choices"][0]["message"]["content"] or ""
        self.messages.append({"role": "assistant", "content": said})
        timings = answer["timings"]
        self.read.append((timings["prompt_n"], timings["cache_n"]))
        return said


def unload(served: Gateway, model: str) -> None:
    """Unload the model; its engine saves its slots and ends."""
    body = json.dumps({"model": model}).encode()
    order = urllib.request.Request(f"{served.url}/admin/unload", body, ADMIN)
    with urllib.request.urlopen(order, timeout=30) as answer:
        assert answer.status == 200
