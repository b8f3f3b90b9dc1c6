"""A tiny model whose answers are short and certain: one word, or one call of a tool.

A tiny model's noise never ends by itself. Here the first numbers of each token's vector are no
noise, and no layer changes them. They say which token comes next:

- after a word the end of the answer;
- in a model that calls tools, after a line's end, where an answer begins, ``<call>``, token by
  token; from there the engine's grammar leads on, and wherever it lets a text, a bracket or the
  answer end, that is what comes next.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from tiny_models import EMBEDDING, PLAIN, vocabulary, write

if TYPE_CHECKING:
    from pathlib import Path

# A quantity that no noise reaches.
_LOUD = 4.0
_END = b"<|im_end|>"
# Each of these is followed by the next one.
_BEGINNING = (b"\xc4\x8a", b"<", b"call", b">")
# How much the number that all tokens have speaks for a token.
_CLOSING = {b'"': 12.0, b"]": 8.0, b"}": 8.0, _END: 4.0}
# White space, as the vocabulary spells it.
_BLANKS = "\u0120\u010a\u0109\u010d".encode()
# A number for the words, one for all tokens, and one for each of the beginning but the last.
_HEAD = 2 * (1 + len(_BEGINNING))
_ROW = 2 * EMBEDDING


def write_obedient(path: Path, context: int, *, calls: bool, layers: int = 3) -> Path:
    """Write a model of this context that answers with a word, or ``calls`` a tool if it has any.

    Its layers decide nothing. Each costs a long prompt the same again.
    """
    tokens, words = vocabulary()
    beginning = _BEGINNING if calls else ()
    closing = _CLOSING if calls else {}
    # JSON may have white space without end.
    blank = -_LOUD if calls else 0.0

    def vector(token: bytes, word: bool) -> list[float]:
        return [_LOUD * word, 0.5, *(_LOUD * (token == each) for each in beginning[:-1])]

    def row(token: bytes) -> list[float]:
        follows = (_LOUD * (token == each) for each in beginning[1:])
        return [
            _LOUD * (token == _END),
            closing.get(token, 0.0 if token.strip(_BLANKS) else blank),
            *follows,
        ]

    def edit(name: str, content: bytes) -> bytes:
        if name == "token_embd.weight":
            heads = list(map(vector, tokens, words))
        elif name == "output.weight":
            heads = list(map(row, tokens))
        elif name.endswith(("attn_output.weight", "ffn_down.weight")):
            # A row for each number that the layer adds to: none to the first ones.
            own = len(content) // EMBEDDING * len(_BEGINNING)
            return bytes(own) + content[own:]
        else:
            return content
        packed = [struct.pack(f"<{len(head)}e", *head).ljust(_HEAD, b"\0") for head in heads]
        rests = (content[at + _HEAD : at + _ROW] for at in range(0, len(content), _ROW))
        return b"".join(map(bytes.__add__, packed, rests))

    says = PLAIN.says | {"context_length": context}
    return write(replace(PLAIN, layers=PLAIN.layers[:layers], says=says), path, edit)
