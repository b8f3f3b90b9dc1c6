"""Make a large model file that gives the same answers as a small one.

Each feed-forward network of a dense llama model (GGUF) becomes a number of equal experts, and a
token uses one of them. So the file and its load time grow, but not the computation.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC = b"GGUF"
_ALIGNMENT = 32
# The bytes of a value by its type, except for texts and lists.
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_U32, _TEXT, _LIST = 4, 8, 9
_F32 = 0
_NETWORKS = ("ffn_down", "ffn_gate", "ffn_up")


@dataclass(frozen=True)
class Tensor:
    """A tensor whose content is ``part``, repeated ``times`` times."""

    name: str
    shape: tuple[int, ...]
    kind: int
    part: memoryview
    times: int = 1

    @property
    def size(self) -> int:
        return _aligned(len(self.part) * self.times)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return int(value)

    def text(self) -> str:
        length = self.number("Q")
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def value(self, kind: int) -> None:
        if kind == _TEXT:
            self.text()
        elif kind == _LIST:
            of, count = self.number("I"), self.number("Q")
            for _ in range(count):
                self.value(of)
        else:
            self.at += _WIDTHS[kind]


def with_experts(source: Path, target: Path, experts: int) -> None:
    """Write ``target``: the model of ``source`` with this number of experts.

    The tensors of ``source`` must lie in the order of their list, and their sizes must be multiples
    of 32 bytes. Raises ValueError if ``source`` is not a GGUF file.
    """
    reader = _Reader(source.read_bytes())
    if reader.data[:4] != _MAGIC:
        raise ValueError(f"{source} is not a GGUF file.")
    reader.at = 4
    version, count, keys = reader.number("I"), reader.number("Q"), reader.number("Q")
    begin = reader.at
    for _ in range(keys):
        reader.text()
        reader.value(reader.number("I"))
    said = reader.data[begin : reader.at]
    tensors = [new for old in _tensors(reader, count) for new in _widened(old, experts)]
    with target.open("wb") as file:
        file.write(_MAGIC + struct.pack("<IQQ", version, len(tensors), keys + 2) + said)
        for key, number in (("expert_count", experts), ("expert_used_count", 1)):
            file.write(_text(f"llama.{key}") + struct.pack("<II", _U32, number))
        offset = 0
        for tensor in tensors:
            shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            file.write(_text(tensor.name) + shape + struct.pack("<IQ", tensor.kind, offset))
            offset += tensor.size
        file.write(bytes(_aligned(file.tell()) - file.tell()))
        for tensor in tensors:
            for _ in range(tensor.times):
                file.write(tensor.part)
            file.write(bytes(tensor.size - len(tensor.part) * tensor.times))
        file.flush()
        os.fsync(file.fileno())


def _tensors(reader: _Reader, count: int) -> Iterator[Tensor]:
    listed = []
    for _ in range(count):
        name = reader.text()
        shape = tuple(reader.number("Q") for _ in range(reader.number("I")))
        listed.append((name, shape, reader.number("I"), reader.number("Q")))
    content = memoryview(reader.data)[_aligned(reader.at) :]
    ends = [offset for *_, offset in listed[1:]] + [len(content)]
    for (name, shape, kind, offset), end in zip(listed, ends, strict=True):
        yield Tensor(name, shape, kind, content[offset:end])


def _widened(tensor: Tensor, experts: int) -> Iterator[Tensor]:
    """Return the tensor for all experts and, for a gate, the router (zeros) beside it."""
    layer, _, what = tensor.name.removesuffix(".weight").rpartition(".")
    if what not in _NETWORKS:
        yield tensor
        return
    name, shape = f"{layer}.{what}_exps.weight", (*tensor.shape, experts)
    yield Tensor(name, shape, tensor.kind, tensor.part, experts)
    if what == "ffn_gate":
        shape = (tensor.shape[0], experts)
        nothing = memoryview(bytes(4 * shape[0]))
        yield Tensor(f"{layer}.ffn_gate_inp.weight", shape, _F32, nothing, experts)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
