"""The messages between the gateway and the program that decodes sound as it comes. Pure.

A message has a letter, the number of a recording, the size of its data, and the data.

- To the program: BEGIN a recording, whose container is the data; DATA of it; MARK, which is
  answered once all before it was decoded.
- From the program: SAMPLES; MARK; FAULT, which ends the recording: the data says why.
"""

from __future__ import annotations

from struct import Struct

BEGIN, DATA, MARK, SAMPLES, FAULT = (letter.encode() for letter in "BDMSF")
HEAD = Struct(">cII")
"""The letter, the number, the size."""


def message(letter: bytes, number: int, data: bytes = b"") -> bytes:
    """Return a message."""
    return HEAD.pack(letter, number, len(data)) + data
