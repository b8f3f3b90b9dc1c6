"""Why an answer ended, as its engine says in the last event or in the whole answer. Pure."""

from __future__ import annotations

import re

_ENDS = 2048
# Inside generated text the quotation marks are escaped, so that text cannot imitate a field.
_FIELDS = (b'finish_reason"', b'stop_reason"', b'stop_type"')
_VALUE = re.compile(rb'\s*:\s*"([a-z_]{1,24})"')
# Anthropic's words and those of llama-server's own API, as OpenAI's.
_SAME = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "word": "stop",
    "max_tokens": "length",
    "limit": "length",
    "tool_use": "tool_calls",
}


def finish_reason(answer: bytes) -> str | None:
    """Return the reason in OpenAI's words, such as ``stop`` or ``length``; None without one.

    Only the beginning and the end are searched: engines write it before the text or after it.
    """
    for part in (answer[-_ENDS:], answer[:_ENDS]):
        for field in _FIELDS:
            # From the end: before it, each event of a stream has the field without a reason.
            at = part.rfind(field)
            while at >= 0:
                if (found := _VALUE.match(part, at + len(field))) is not None:
                    word = str(found[1], "ascii")
                    return _SAME.get(word, word)
                at = part.rfind(field, 0, at)
    return None
