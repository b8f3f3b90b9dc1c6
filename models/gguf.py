"""Read the head of a GGUF file: its key-value pairs and its table of tensors. Pure.

The head tells all about a model but its weights. It is read through a window, from a file or from
ranges of a remote one. Vocabularies and other long arrays are skipped, so a head costs little
memory. What a file claims is checked against its size before anything is allocated for it. All
numbers are little-endian; versions 2 and 3 of the format are read.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from math import prod
from pathlib import Path
from struct import Struct, error
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

# Returns the bytes from an offset on: at most as many as asked, fewer only at the end.
Read: TypeAlias = "Callable[[int, int], bytes]"
Single: TypeAlias = float | str
Value: TypeAlias = "Single | list[Single] | Skipped"

_WINDOW = 1 << 18
# Arrays with more elements are skipped. Models have at most some hundred layers.
LONGEST_ARRAY = 1024
# No honest head has more: the limits only bound the memory that a hostile one takes.
_MOST_KEYS = 1 << 16
_MOST_TENSORS = 1 << 15
_MOST_BYTES = 8 << 20
# What a number or a tensor takes in memory, about.
_NUMBER, _ENTRY = 32, 64
_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 1 << 44
_FARTHEST = 1 << 62
_ALIGNMENT = 32

_U32, _U64 = Struct("<I"), Struct("<Q")
_STRING, _ARRAY = 8, 9
_NUMBERS = {
    kind: Struct(f"<{code}")
    for kind, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}


class TensorType(NamedTuple):
    """How a tensor is stored: ``size`` bytes for each ``block`` of elements."""

    name: str
    block: int
    size: int

    def bytes_of(self, elements: int) -> int:
        """Return the bytes of so many elements."""
        return elements * self.size // self.block


TYPES: Mapping[int, TensorType] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 36),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
    42: TensorType("Q2_0", 64, 18),
}
# Types of newer releases: their names and sizes are not known here.
_UNKNOWN = TensorType("", 1, 0)


class BadModelFile(ValueError):
    """The file is no readable GGUF file. The text says why, and stands alone."""


class Skipped(NamedTuple):
    """A long array that was not read: the type and the number of its elements."""

    kind: int
    length: int


class Tensor(NamedTuple):
    """One tensor. ``offset`` counts from the end of the head."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        """The number of its elements."""
        return prod(self.shape)

    @property
    def type(self) -> TensorType:
        """How it is stored; of size 0 if the type is not known."""
        return TYPES.get(self.kind, _UNKNOWN)

    @property
    def size(self) -> int:
        """Its size in bytes; 0 if the type is not known."""
        return self.type.bytes_of(self.elements)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a file of ``size`` bytes. ``fetched`` bytes were read for it.

    ``end`` is where the data of the tensors ends: a smaller file is cut. ``places`` are the first
    byte of each key, with its name and value, and the byte after it.
    """

    version: int
    keys: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    size: int
    end: int
    fetched: int
    places: Mapping[str, tuple[int, int]]

    @property
    def missing(self) -> int:
        """The bytes that the file lacks; 0 if it is whole."""
        return max(0, self.end - self.size)


def head_of(path: str | os.PathLike[str]) -> Head:
    """Return the head of the file at ``path``. Takes some milliseconds of CPU, up to 100.

    Raises BadModelFile for what is no GGUF file, OSError if it cannot be read.
    """
    state = Path(path).stat()
    # Before the file is opened: a pipe would wait for its writer.
    if not stat.S_ISREG(state.st_mode):
        raise BadModelFile("it is not a regular file")
    with Path(path).open("rb", buffering=0) as file:

        def read(at: int, count: int) -> bytes:
            file.seek(at)
            return file.read(count)

        return read_head(read, state.st_size)


def read_head(read: Read, size: int) -> Head:
    """Return the head of a file of ``size`` bytes; ``read`` returns its bytes.

    Raises BadModelFile, and whatever ``read`` raises.
    """
    window = _Window(read, size)
    version = _version(window)
    tensors, keys = window.u64(), window.u64()
    # A tensor takes 24 bytes or more, a key 13 or more.
    if tensors > min(size // 24, _MOST_TENSORS) or keys > min(size // 13, _MOST_KEYS):
        raise BadModelFile(f"its head claims {tensors} tensors and {keys} keys")
    said: dict[str, Value] = {}
    places: dict[str, tuple[int, int]] = {}
    for _ in range(keys):
        begin = window.at
        name = window.text()
        said[name] = _value(window)
        places[name] = begin, window.at
    table = tuple(_tensor(window) for _ in range(tensors))
    return Head(version, said, table, size, _end(window.at, said, table), window.fetched, places)


class _Window:
    """A place in the file, and the bytes around it."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self._data = b""
        self._start = 0
        self._kept = 0
        self.at = 0
        self.fetched = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        begin = self._have(count)
        self.at += count
        return self._data[begin : begin + count]

    def u32(self) -> int:
        return int(self.number(_U32))

    def u64(self) -> int:
        return int(self.number(_U64))

    def number(self, form: Struct) -> float:
        """Return the next number; by ``form`` it is an integer, a float or a bool."""
        begin = self._have(form.size)
        self.at += form.size
        found: float = form.unpack_from(self._data, begin)[0]
        return found

    def text(self) -> str:
        """Return the next text. Together, all texts must be short enough for a head."""
        count = self.u64()
        self.keep(count)
        return self.take(count).decode("utf-8", "replace")

    def keep(self, count: int) -> None:
        """Count the bytes that stay in memory; raise BadModelFile if they are too many."""
        self._kept += count
        if self._kept > _MOST_BYTES:
            raise BadModelFile("its head is too large")

    def skip(self, count: int) -> None:
        """Go on after ``count`` bytes."""
        self.at += count
        if self.at > self._size:
            raise BadModelFile("it ends within its head")

    def skip_texts(self, count: int) -> None:
        """Go on after ``count`` texts: a loop over what the window holds, for its speed."""
        length = _U64.unpack_from
        while count:
            place = begin = self._have(8)
            data = self._data
            left = count
            try:
                for left in range(count, 0, -1):  # noqa: B007 - how many are left at an error
                    place += 8 + length(data, place)[0]
                left = 0
            except (error, OverflowError):
                # The next length lies outside the window.
                pass
            count = left
            self.skip(place - begin)

    def _have(self, count: int) -> int:
        """Return where in the window the next ``count`` bytes begin."""
        if self.at + count > self._size:
            raise BadModelFile("it ends within its head")
        begin = self.at - self._start
        if begin < 0 or begin + count > len(self._data):
            wanted = min(max(count, _WINDOW), self._size - self.at)
            self._data, self._start, begin = self._read(self.at, wanted), self.at, 0
            self.fetched += len(self._data)
            if len(self._data) < count:
                raise BadModelFile("it ends within its head")
        return begin


def _version(window: _Window) -> int:
    try:
        begin = window.take(8)
    except BadModelFile:
        raise BadModelFile("it is too short for a GGUF file") from None
    if begin[:4] != b"GGUF":
        raise BadModelFile(_foreign(begin))
    (version,) = _U32.unpack_from(begin, 4)
    if version in {2, 3}:
        return int(version)
    if version & 0xFFFF == 0:
        raise BadModelFile("it is a GGUF file for big-endian machines")
    raise BadModelFile(f"it is a GGUF file of version {version}; only 2 and 3 can be read")


def _foreign(begin: bytes) -> str:
    """Return what a file is that begins so: often it is what a failed download left."""
    if begin.lstrip().startswith(b"<"):
        return "it is not a GGUF file but a web page"
    if begin == b"version ":
        return "it is not a GGUF file but a pointer of Git LFS"
    if begin.startswith((b"tjgg", b"fmgg", b"lmgg", b"algg")):
        return "it is in a format older than GGUF"
    return "it is not a GGUF file"


def _value(window: _Window) -> Value:
    kind = window.u32()
    if kind != _ARRAY:
        return _single(window, kind)
    inner, count = window.u32(), window.u64()
    if inner != _STRING and inner not in _NUMBERS:
        raise BadModelFile(f"an array in its head has elements of the unknown type {inner}")
    if count <= LONGEST_ARRAY:
        return [_single(window, inner) for _ in range(count)]
    if inner == _STRING:
        window.skip_texts(count)
    else:
        window.skip(count * _NUMBERS[inner].size)
    return Skipped(inner, count)


def _single(window: _Window, kind: int) -> Single:
    if kind == _STRING:
        return window.text()
    if kind not in _NUMBERS:
        raise BadModelFile(f"a key in its head has the unknown type {kind}")
    window.keep(_NUMBER)
    return window.number(_NUMBERS[kind])


def _tensor(window: _Window) -> Tensor:
    window.keep(_ENTRY)
    name = window.text()
    dimensions = window.u32()
    if dimensions > _MOST_DIMENSIONS:
        raise BadModelFile(f"a tensor has {dimensions} dimensions")
    shape = tuple(window.u64() for _ in range(dimensions))
    tensor = Tensor(name, shape, window.u32(), window.u64())
    if tensor.elements > _MOST_ELEMENTS or tensor.offset > _FARTHEST:
        raise BadModelFile(f"a tensor claims the shape {shape} at {tensor.offset}")
    return tensor


def _end(at: int, said: Mapping[str, Value], tensors: tuple[Tensor, ...]) -> int:
    if not tensors:
        return at
    alignment = said.get("general.alignment")
    if not isinstance(alignment, int) or alignment < 1:
        alignment = _ALIGNMENT
    start = -(-at // alignment) * alignment
    return start + max(tensor.offset + tensor.size for tensor in tensors)
