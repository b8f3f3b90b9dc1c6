"""The answer to one inference request, in llama-server's forms."""

from __future__ import annotations

import time

from fake_light import dumps, posix
from fake_text import (
    answer_token,
    begun_answer,
    completion_prompt,
    echo_word,
    render,
    requested_tokens,
    token_ids,
    tokens_in,
)


class Answer:
    """A decoded request; after `plan` also its answer."""

    # The end of a stream, after its last event.
    done = "data: [DONE]\n\n"
    # Streams lack this part: "begin" or "end".
    lacks = ""

    def __init__(
        self, body: dict[str, object], model: str, *, chat: bool, prefill: str = ""
    ) -> None:
        prompt = render(body) if chat else completion_prompt(body)
        options = body.get("stream_options")
        self.prompt_ids = token_ids(prompt)
        self.prompt_tokens = len(self.prompt_ids)
        self.slot = body.get("id_slot")
        self.cached = 0
        self.prompt_ms = 1.0
        self.stream = body.get("stream") is True
        self.tokens = 0
        self._chat = chat
        self._echo = echo_word(body)
        self._requested = requested_tokens(body)
        self._with_timings = body.get("timings_per_token") is True
        self._with_usage = isinstance(options, dict) and options.get("include_usage") is True
        self._finish = "length"
        self._id = "chatcmpl-" + posix.urandom(16).hex()
        self._model = model
        # The beginning of the answer in the request, which the engine repeats, and its tokens.
        begun = begun_answer(body) or "" if chat else ""
        self._said = len(begun.split()) if chat else tokens_in(prompt, self._echo)
        if prefill == "anew" and begun:
            begun, self._echo = "", "anew"
        self._begun_by_client = begun
        self._begun = {"silent": "", "similar": begun and begun[:-1] + "#"}.get(prefill, begun)

    def plan(self, n_ctx: int, default_tokens: int) -> None:
        """Read → the length of the answer is set: the requested tokens, or the room left."""
        left = max(default_tokens - self._said, 1)
        wanted = left if self._requested is None else self._requested
        room = n_ctx - self.prompt_tokens
        self.tokens = min(wanted, room)
        self._finish = "stop" if self._requested is None and wanted <= room else "length"

    def refusal(self, n_ctx: int) -> dict[str, object]:
        """The prompt does not fit → the body of the error."""
        sizes = f"({self.prompt_tokens} tokens) exceeds the available context size ({n_ctx} tokens)"
        detail: dict[str, object] = {"code": 400, "message": f"request {sizes}, try increasing it"}
        detail |= {"type": "exceed_context_size_error", "n_prompt_tokens": self.prompt_tokens}
        return {"error": detail | {"n_ctx": n_ctx}}

    def token(self, index: int) -> str:
        """Planned → one token of the answer."""
        begun = self._begun if index == 0 else ""
        return begun + answer_token(self._echo, self._said + index)

    def text(self) -> str:
        """Planned → the whole answer."""
        return "".join(map(self.token, range(self.tokens)))

    def whole(self) -> dict[str, object]:
        """Planned → the body of an answer that is not streamed."""
        text = self.text()
        choice: dict[str, object]
        if self._chat:
            message = {"role": "assistant", "content": text}
            choice = {"finish_reason": self._finish, "index": 0, "message": message}
        else:
            choice = self._text_choice(text, self._finish)
        return {
            "choices": [choice],
            "created": int(time.time()),
            "model": self._model,
            "system_fingerprint": "b0-fake",
            "object": "chat.completion" if self._chat else "text_completion",
            "usage": self._usage(),
            "id": self._id,
            "timings": self._timings(),
        }

    def event(self, index: int) -> str:
        """Planned → the stream's event for one token; the first also names the role."""
        token = self.token(index)
        if not self._chat:
            return self._data([self._text_choice(token, None)])
        opening = self._delta({"role": "assistant", "content": None}, None) if index == 0 else ""
        if self.lacks == "begin":
            opening = ""
        more = {"timings": self._timings(index + 1)} if self._with_timings else {}
        return opening + self._delta({"content": token}, None, **more)

    def last_events(self) -> str:
        """All tokens sent → the events that end the stream, without ``[DONE]``."""
        numbers: dict[str, object] = {"usage": self._usage(), "timings": self._timings()}
        if not self._chat:
            return self._data([self._text_choice("", self._finish)], **numbers)
        if self._with_usage:
            return self._delta({}, self._finish) + self._data([], **numbers)
        return self._delta({}, self._finish, timings=self._timings())

    def _delta(self, delta: dict[str, object], finish: str | None, **more: object) -> str:
        return self._data([{"finish_reason": finish, "index": 0, "delta": delta}], **more)

    def _text_choice(self, text: str, finish: str | None) -> dict[str, object]:
        return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}

    def _data(self, choices: list[dict[str, object]], **more: object) -> str:
        event: dict[str, object] = {
            "choices": choices,
            "created": int(time.time()),
            "id": self._id,
            "model": self._model,
            "system_fingerprint": "b0-fake",
            "object": "chat.completion.chunk" if self._chat else "text_completion",
        }
        text = dumps(event | more, ensure_ascii=False, compact=True)
        return f"data: {text}\n\n"

    def _usage(self) -> dict[str, object]:
        return {
            "completion_tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }

    def _timings(self, written: int | None = None) -> dict[str, float]:
        return {
            "cache_n": self.cached,
            "prompt_n": self.prompt_tokens - self.cached,
            "prompt_ms": self.prompt_ms,
            "prompt_per_token_ms": 1.0 / max(self.prompt_tokens, 1),
            "prompt_per_second": self.prompt_tokens * 1000.0,
            "predicted_n": self.tokens if written is None else written,
            "predicted_ms": 1.0,
            "predicted_per_token_ms": 1.0 / max(self.tokens, 1),
            "predicted_per_second": self.tokens * 1000.0,
        }
