"""The requests and answers of llama-server's other APIs, turned into chats and back.

What they say is what a chat says: the same rules of counting and answering hold.
"""

from __future__ import annotations

import json

from fake_answer import Answer
from fake_text import BadBodyError, token_ids


def chat_of_messages(body: dict[str, object]) -> dict[str, object]:
    """Anthropic's request → the chat that it means; tool results are messages of their own."""
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


def chat_of_responses(body: dict[str, object]) -> dict[str, object]:
    """A Responses request → the chat that it means."""
    said: list[object] = []
    if body.get("instructions") is not None:
        said.append({"role": "system", "content": body["instructions"]})
    value = body.get("input")
    if isinstance(value, str):
        said.append({"role": "user", "content": value})
    elif isinstance(value, list):
        for item in value:
            content = item.get("content", item.get("output"))
            if isinstance(content, list):
                content = [{**part, "type": "text"} for part in content]
            said.append({"role": item.get("role", "tool"), "content": content})
    else:
        raise BadBodyError("'input' is required")
    return {**body, "messages": said, "max_tokens": body.get("max_output_tokens")}


class MessagesAnswer(Answer):
    """An answer in Anthropic's shape."""

    done = ""

    def whole(self) -> dict[str, object]:
        """Planned → the message."""
        return {
            "id": "msg_fake",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": self.text()}],
            "stop_reason": "max_tokens",
            "usage": self._counts() | {"output_tokens": self.tokens},
        }

    def event(self, index: int) -> str:
        """Planned → what the stream carries for one token; the first also opens the message."""
        opening = ""
        if index == 0:
            message = {"id": "msg_fake", "role": "assistant", "usage": self._counts()}
            opening = _event("message_start", message=message)
        delta = {"type": "text_delta", "text": self.token(index)}
        return opening + _event("content_block_delta", index=0, delta=delta)

    def last_events(self) -> str:
        """All tokens sent → the events that end the stream."""
        end = _event("message_delta", usage={"output_tokens": self.tokens})
        return end + _event("message_stop")

    def _counts(self) -> dict[str, int]:
        return {"cache_read_input_tokens": 1, "input_tokens": self.prompt_tokens - 1}


class ResponsesAnswer(Answer):
    """An answer in the shape of the Responses API."""

    done = ""

    def whole(self) -> dict[str, object]:
        """Planned → the response."""
        counts = {"input_tokens": self.prompt_tokens, "output_tokens": self.tokens}
        text = {"type": "output_text", "text": self.text()}
        output = [{"type": "message", "role": "assistant", "content": [text]}]
        return {"id": "resp_fake", "object": "response", "output": output, "usage": counts}

    def event(self, index: int) -> str:
        """Planned → what the stream carries for one token."""
        return _event("response.output_text.delta", delta=self.token(index))

    def last_events(self) -> str:
        """All tokens sent → the event that ends the stream."""
        return _event("response.completed", response=self.whole())


def _event(name: str, **fields: object) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n"


def embeddings(body: dict[str, object], n_ctx: int) -> tuple[int, dict[str, object]]:
    """Request → status and answer: one vector an input."""
    value = body.get("input", body.get("content"))
    inputs = value if isinstance(value, list) else [value]
    return _scored([str(text) for text in inputs], "embedding", [0.5, 0.5], n_ctx)


def rerank(body: dict[str, object], n_ctx: int) -> tuple[int, dict[str, object]]:
    """Request → status and answer: one score a document."""
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
    """An infill request → the completion that it means."""
    texts = [str(body.get(name) or "") for name in ("input_prefix", "prompt", "input_suffix")]
    return {**body, "prompt": " ".join(texts)}
