"""What the server makes of a request; the program here is a shell's line."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from engine.espeak.bundled.server import _spoken

HEAD = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0" + bytes(16) + b"data\xff\xff\xff\x7f"
OCTAL = "".join("\\" + format(byte, "03o") for byte in HEAD)
WRITES_A_FILE = ("sh", "-c", f"printf '{OCTAL}'; cat")
TELLS = ("sh", "-c", 'echo "$*" >&2; exit 1', "program")


def test_the_file_gets_its_true_sizes() -> None:
    file = _spoken(WRITES_A_FILE, 175, {"text": "-v äh"})
    assert file.endswith("-v äh".encode())
    assert struct.unpack_from("<I", file, 4) == (len(file) - 8,)
    assert struct.unpack_from("<I", file, len(HEAD) - 4) == (6,)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"text": "a"}, "-s 175 -b 1 --stdin --stdout"),
        ({"text": "a", "voice": "de", "length_scale": 0.5}, "-s 350 -v de -b 1 --stdin --stdout"),
        ({"text": "a", "length_scale": 4}, "-s 80 -b 1"),
        ([], "no JSON object"),
    ],
)
def test_what_the_program_is_asked_for(request_: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _spoken(TELLS, 175, request_)
