"""A tiny ONNX model, written without the package: the sigmoid of the mean of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FLOAT = 1


def _field(number: int, value: bytes | str | int) -> bytes:
    """Return a field of a message in the form of protocol buffers."""
    if isinstance(value, int):
        return bytes([number << 3]) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _node(kind: str, taken: str, made: str) -> bytes:
    return _field(1, _field(1, taken) + _field(2, made) + _field(4, kind))


def _value(number: int, name: str, shape: tuple[int, ...]) -> bytes:
    sizes = b"".join(_field(1, _field(1, size)) for size in shape)
    kind = _field(1, _field(1, _FLOAT) + _field(2, sizes))
    return _field(number, _field(1, name) + _field(2, kind))


def write_mean_model(path: Path, shape: tuple[int, ...]) -> None:
    """Write a model that takes an input of this shape."""
    nodes = _node("ReduceMean", "input_features", "mean") + _node("Sigmoid", "mean", "likely")
    ends = _value(11, "input_features", shape) + _value(12, "likely", (1,) * len(shape))
    opset = _field(8, _field(1, "") + _field(2, 13))
    path.write_bytes(_field(1, 8) + _field(7, nodes + _field(2, "mean") + ends) + opset)
