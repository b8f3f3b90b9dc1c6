"""The rules by which the fakes count and answer; tests may rely on them.

Tokens are words separated by spaces. The chat template adds four words to every message
(``<|im_start|> role … <|im_end|> <|sep|>``), and puts tool definitions, as JSON, in front. So a
request's prompt tokens are the words of all contents + 4 for each message + the words of its tools.
An image counts 64 tokens.

The answer to a request is ``echo.0 echo.1 echo.2 …``, one token each. *echo* is the first word of
the last user message (or of the prompt), so every token shows which client its answer belongs to.

If the last message is the assistant's, it is the beginning of the answer: only its words count, and
the answer continues it. The same holds for a text completion whose prompt ends with tokens of its
answer.
"""

from __future__ import annotations

from fake_light import dumps

IMAGE_TOKENS = 64
VOCABULARY = 49152
# The largest prime number below it: each byte of a word counts.
_PRIME = 49139

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} "
    "{{ message['content'] }} <|im_end|> <|sep|>\n{% endfor %}"
)


class BadBodyError(Exception):
    """The body is not a request; the message is that of the real server."""


def token_ids(text: str) -> list[int]:
    """Text → one id for each of its words; equal words have equal ids."""
    words = [word.encode("utf-8", "surrogatepass") for word in text.split()]
    return [int.from_bytes(word, "little") % _PRIME for word in words]


def render(body: dict[str, object]) -> str:
    """Chat request → its prompt by the template."""
    messages = body.get("messages")
    if messages is None:
        raise BadBodyError("'messages' is required")
    if not isinstance(messages, list):
        raise BadBodyError("Expected 'messages' to be an array")
    tools = body.get("tools")
    head = dumps(tools, ensure_ascii=False) + "\n" if tools else ""
    begun = begun_answer(body)
    said = messages if begun is None else messages[:-1]
    return head + "".join(_render_message(message) for message in said) + (begun or "")


def begun_answer(body: dict[str, object]) -> str | None:
    """Chat request → the beginning of the answer in it, or None."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "assistant" or last.get("tool_calls"):
        return None
    return content_text(last.get("content"))


def tokens_in(prompt: str, echo: str) -> int:
    """Text completion prompt → how many tokens of the answer it has already."""
    words = [word.rpartition(".") for word in prompt.split()]
    return sum(name == echo and number.isdigit() for name, _, number in words)


def _render_message(message: object) -> str:
    if not isinstance(message, dict):
        raise BadBodyError("Expected 'messages' to be an array of objects")
    text = content_text(message.get("content"))
    if message.get("tool_calls"):
        text += " " + dumps(message["tool_calls"], ensure_ascii=False)
    return f"<|im_start|> {message.get('role', 'user')} {text} <|im_end|> <|sep|>\n"


def content_text(content: object) -> str:
    """A message's content, a string or a list of parts → its text."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadBodyError("Expected 'content' to be a string or an array")
    texts: list[str] = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "text":
            texts.append(str(part.get("text", "")))
        else:
            texts.append("<|image|> " * IMAGE_TOKENS)
    return " ".join(texts)


def completion_prompt(body: dict[str, object]) -> str:
    """Text completion request → its prompt; each token id counts as one word."""
    prompt = body.get("prompt")
    if prompt is None:
        raise BadBodyError("[json.exception.out_of_range.403] key 'prompt' not found")
    if isinstance(prompt, list):
        return " ".join(str(item) for item in prompt)
    return str(prompt)


def echo_word(body: dict[str, object]) -> str:
    """Request → the word that marks its answer; ``w`` if it has no text."""
    text = ""
    messages = body.get("messages")
    if isinstance(messages, list):
        for message in messages:
            if isinstance(message, dict) and message.get("role") == "user":
                text = content_text(message.get("content"))
    elif body.get("prompt") is not None:
        text = completion_prompt(body)
    words = text.split(maxsplit=1)
    return words[0][:40] if words else "w"


def answer_token(echo: str, index: int) -> str:
    """Return token number *index* of the answer; joined, the tokens are its text."""
    return f"{' ' if index else ''}{echo}.{index}"


def requested_tokens(body: dict[str, object]) -> int | None:
    """Request → its limit of tokens; None without one."""
    for name in ("n_predict", "max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            kind = "string" if isinstance(value, str) else type(value).__name__
            reason = f"[json.exception.type_error.302] type must be number, but is {kind}"
            raise BadBodyError(f"Field '{name}': {reason}")
        if value >= 0:
            # The real server generates a token before it checks the limit.
            return max(int(value), 1)
    return None
