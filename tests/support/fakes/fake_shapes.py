"""The requests and answers of llama-server's other APIs, converted to chats and back.

The rules of counting and answering are those of a chat.
"""

from __future__ import annotations

from fake_answer import Answer
from fake_light import dumps
from fake_text import BadBodyError, token_ids


def chat_of_messages(body: dict[str, object]) -> dict[str, object]:
    """Anthropic's request → the same request as a chat; each tool result becomes a message."""
    said: list[object] = []
    if body.get("system") is not None:
        said.append({"role": "system", "content": body["system"]})
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise BadBodyError("'messages' is required")
    for message in messages:
        content = message.get("content")
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        results = [b for b in blocks if b.get("type") == "tool_result"]
        own = [b for b in blocks if b.get("type") in {"text", "image"}]
        said += [{"role": message.get("role"), "content": own}] if own else []
        said += [{"role": "tool", "content": r.get("content")} for r in results]
    return {**body, "messages": said}


class MessagesAnswer(Answer):
    """An answer in Anthropic's shape."""

    done = ""

    def whole(self) -> dict[str, object]:
        """Planned → the message."""
        text = self.text()
        return self._message([{"type": "text", "text": text}] if text else []) | {
            "stop_reason": self._stop_reason(),
            "usage": self._read() | {"output_tokens": self.tokens},
        }

    def event(self, index: int) -> str:
        """Planned → the stream's events for one token; the first also open the message."""
        opening = ""
        if index == 0:
            message = self._message([]) | {"usage": self._read() | {"output_tokens": 0}}
            opening = "" if self.lacks == "begin" else _event("message_start", message=message)
            block = {"type": "text", "text": ""}
            opening += _event("content_block_start", index=0, content_block=block)
        delta = {"type": "text_delta", "text": self.token(index)}
        return opening + _event("content_block_delta", index=0, delta=delta)

    def last_events(self) -> str:
        """All tokens sent → the events that end the stream."""
        delta = {"stop_reason": self._stop_reason(), "stop_sequence": None}
        end = _event("message_delta", delta=delta, usage={"output_tokens": self.tokens})
        last = "" if self.lacks == "end" else _event("message_stop")
        return _event("content_block_stop", index=0) + end + last

    def _message(self, content: list[object]) -> dict[str, object]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "content": content,
            "model": self._model,
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _stop_reason(self) -> str:
        return "max_tokens" if self._finish == "length" else "end_turn"

    def _read(self) -> dict[str, int]:
        fresh = self.prompt_tokens - self.cached
        return {"cache_read_input_tokens": self.cached, "input_tokens": fresh}


def _event(name: str, **fields: object) -> str:
    return f"event: {name}\ndata: {dumps({'type': name, **fields})}\n\n"


def embeddings(body: dict[str, object], n_ctx: int) -> tuple[int, dict[str, object]]:
    """Request → status and answer: one vector for each input."""
    value = body.get("input", body.get("content"))
    inputs = value if isinstance(value, list) else [value]
    return _scored([str(text) for text in inputs], "embedding", [0.5, 0.5], n_ctx)


def rerank(body: dict[str, object], n_ctx: int) -> tuple[int, dict[str, object]]:
    """Request → status and answer: one score for each document."""
    documents = body.get("documents")
    if not isinstance(documents, list):
        raise BadBodyError('"documents" must be a non-empty string array')
    pairs = [f"{body.get('query')} {document}" for document in documents]
    return _scored(pairs, "relevance_score", 0.5, n_ctx)


def _scored(
    texts: list[str], field: str, value: object, n_ctx: int
) -> tuple[int, dict[str, object]]:
    counts = [len(token_ids(text)) for text in texts]
    if max(counts) > n_ctx:
        detail = {"code": 400, "type": "exceed_context_size_error", "message": "too large"}
        return 400, {"error": {**detail, "n_prompt_tokens": max(counts), "n_ctx": n_ctx}}
    results = [{"index": i, field: value} for i in range(len(texts))]
    usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return 200, {"data" if field == "embedding" else "results": results, "usage": usage}


def infill_text(body: dict[str, object]) -> dict[str, object]:
    """An infill request → the same request as a completion."""
    texts = [str(body.get(name) or "") for name in ("input_prefix", "prompt", "input_suffix")]
    return {**body, "prompt": " ".join(texts)}
